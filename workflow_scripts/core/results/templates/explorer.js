"use strict";
// The explorer of single canaries. Every text becomes a text node: nothing in the data is ever read as markup.
(() => {
  const PAGE = 5;  // canaries at a time, so that thousands stay quick
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const { names, pieces, texts, canaries, cards } = data;
  const form = document.getElementById("filters");
  const list = document.getElementById("cards");
  const status = document.getElementById("found");
  const [previous, next] = ["previous", "next"].map((id) => document.getElementById(id));
  const PROBES = JSON.parse(document.getElementById("explorer-words").textContent);
  const CHOICES = {  // of each filter: value and what it is called; "" lets everything through
    probe: names.probes.map((name, i) => [String(i), PROBES[name] || name]),
    cohort: all(names.cohorts), kind: all(names.kinds), dose: [["", "all"], ...names.doses.map((d) => [String(d), d ? `${d} times` : "never planted"])],
    policy: all(names.policies), arm: [["", "both"], ["1", "trained with the canary"], ["0", "without"]],
    memorized: [["", "all"], ["1", "memorized"], ["0", "not memorized"]], seed: [["", "all"], ...names.seeds.map((s) => [String(s), String(s)])],
  };
  let page = 0;

  function all(words) { return [["", "all"], ...words.map((word, i) => [String(i), word])]; }

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);  // strings become text nodes
    return made;
  }

  function chosen() { return Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, value.trim()])); }

  function shared(answer) { return names.shared.includes(answer[0]); }  // one model for both arms, trained with no canary

  function saw(canary, answer) { return canary[3] > 0 && answer[1] === canary[4] && !shared(answer); }

  function matching(want) {
    const is = (key, value) => !want[key] || want[key] === String(value);
    const sought = (want.text || "").toLowerCase();
    const found = [];
    for (const [at, probe, target, answers] of cards) {
      const canary = canaries[at];
      if (!(is("probe", probe) && is("kind", canary[1]) && is("cohort", canary[2]) && is("dose", canary[3]))) continue;
      if (sought && !`${canary[0]}\n${text(target)}`.toLowerCase().includes(sought)) continue;
      const kept = answers.filter((a) => is("policy", a[0]) && is("seed", a[2]) && is("memorized", a[4]) && is("arm", Number(saw(canary, a))));
      if (kept.length) found.push([canary, probe, target, kept]);
    }
    return found;
  }

  function text(place) { return texts[place].map((p) => pieces[p]).join(""); }

  // Longest common subsequence of two lists, as [kind, place] in reading order: "same" and "ins" of `given`, "del" of `wanted`.
  function difference(wanted, given) {
    const size = wanted.map(() => new Uint16Array(given.length + 1)).concat([new Uint16Array(given.length + 1)]);
    for (let i = wanted.length - 1; i >= 0; i--)
      for (let j = given.length - 1; j >= 0; j--)
        size[i][j] = wanted[i] === given[j] ? size[i + 1][j + 1] + 1 : Math.max(size[i + 1][j], size[i][j + 1]);
    const steps = [];
    let [i, j] = [0, 0];
    while (i < wanted.length || j < given.length) {
      if (i < wanted.length && j < given.length && wanted[i] === given[j]) { steps.push(["same", given[j]]); i++; j++; }
      else if (i < wanted.length && (j === given.length || size[i + 1][j] >= size[i][j + 1])) steps.push(["del", wanted[i++]]);
      else steps.push(["ins", given[j++]]);
    }
    return steps;
  }

  function completion(target, given) {
    const steps = difference(texts[target], texts[given]);
    const few = 4 * steps.filter(([how]) => how === "same").length < texts[target].length;
    const cell = element("td", { class: "code" });
    let last = null;
    for (const [how, place] of few ? steps.filter(([kind]) => kind !== "del") : steps) {
      if (last && last.how === how) { last.node.append(pieces[place]); continue; }
      last = { how, node: how === "same" ? element("span", { class: "same" }, pieces[place]) : element(how, {}, pieces[place]) };
      cell.append(last.node);
    }
    if (!texts[given].length) cell.append("(nothing)");
    return cell;
  }

  function number(value, digits) { return value === null ? "–" : value.toFixed(digits).replace("-", "−"); }

  function card([canary, probe, target, answers], place) {
    const [id, kind, cohort, dose, , prefix, suffix] = canary;
    const planted = dose ? `planted ${dose === 1 ? "once" : `${dose} times`} in ${names.cohorts[cohort]}` : "never planted";
    const head = element("h3", { id: `card-${place}` }, id, " ", element("small", {}, `${names.kinds[kind]}, ${planted}`));
    const prompt = element("details", {}, element("summary", {}, "prompt, as planted"),
      element("div", { class: "code" }, prefix, element("span", { class: "hole" }, "[target]"), suffix));
    const several = names.seeds.length > 1;
    const titles = ["policy", "arm", ...(several ? ["seed"] : []), "memorized", "distance", "log p per token", "exposure", "completion"];
    const heads = titles.map((word) => element("th", { scope: "col", ...(/policy|arm|completion/.test(word) ? { class: "left" } : {}) }, word));
    const body = element("tbody");
    for (const answer of answers) {
      const [policy, arm, seed, given, memorized, distance, logprob, exposure] = answer;
      const trained = saw(canary, answer) ? "with it" : shared(answer) ? "without any canary" : "without it";
      const arms = dose ? `${names.arms[arm]}, ${trained}` : names.arms[arm];
      body.append(element("tr", {}, element("th", { scope: "row", class: "left" }, names.policies[policy]), element("td", { class: "left" }, arms),
        ...(several ? [element("td", { "data-name": "seed" }, String(seed))] : []), element("td", { "data-name": "memorized" }, memorized ? "● yes" : "no"),
        element("td", { "data-name": "distance" }, number(distance, 2)), element("td", { "data-name": "log p" }, number(logprob, 2)),
        element("td", { "data-name": "exposure" }, number(exposure, 1)), completion(target, given)));
    }
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
    return element("article", { class: "card", "aria-labelledby": `card-${place}` }, head,
      element("small", {}, "target"), element("div", { class: "code target" }, text(target)),
      prompt, element("div", { class: "wide" }, table));
  }

  function show(remember) {
    const want = chosen();
    const found = matching(want);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(0, page), pages - 1);
    const completions = found.reduce((sum, one) => sum + one[3].length, 0);
    const count = (n, word, many) => `${n.toLocaleString("en")} ${n === 1 ? word : many}`;
    status.textContent = `${count(found.length, "canary", "canaries")}, ${count(completions, "completion", "completions")}; page ${page + 1} of ${pages}`;
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(card));
    if (!found.length) list.append(element("p", {}, "No canary fits these filters."));
    previous.disabled = page === 0;
    next.disabled = page === pages - 1;
    if (!remember) return;
    const state = new URLSearchParams(Object.entries({ ...want, page: page ? String(page + 1) : "" }).filter(([, value]) => value));
    try { history.replaceState(null, "", `#explorer?${state}`); } catch { /* a page that is shown inside another may not */ }
  }

  for (const [key, choices] of Object.entries(CHOICES)) {
    const select = form.elements[key];
    select.append(...choices.map(([value, word]) => element("option", { value }, word)));
    if (choices.length < 2 || (key === "seed" && choices.length < 3)) select.closest("label").hidden = true;
  }
  if (location.hash.startsWith("#explorer?")) {
    const state = new URLSearchParams(location.hash.slice("#explorer?".length));
    for (const [key, value] of state) if (form.elements[key]) form.elements[key].value = value;
    for (const key of Object.keys(CHOICES)) if (form.elements[key].selectedIndex < 0) form.elements[key].selectedIndex = 0;  // a value from another run
    page = (Number.parseInt(state.get("page"), 10) || 1) - 1;
    document.getElementById("explorer").scrollIntoView();
  }
  const again = () => { page = 0; show(true); };
  form.addEventListener("input", again);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(again));
  previous.addEventListener("click", () => { page--; show(true); });
  next.addEventListener("click", () => { page++; show(true); });
  show(false);

  const closed = [];  // on paper what is folded in cannot be opened
  addEventListener("beforeprint", () => document.querySelectorAll("details.print:not([open])").forEach((d) => { d.open = true; closed.push(d); }));
  addEventListener("afterprint", () => closed.splice(0).forEach((d) => { d.open = false; }));
})();
