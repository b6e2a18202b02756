"use strict";
// The explorer of single canaries. Every text becomes a text node: nothing in the data is ever read as markup.
(() => {
  const PAGE = 5;  // canaries at a time, so that thousands stay quick
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const { names, pieces, texts, canaries, cards } = data;
  const form = document.getElementById("filters");
  const list = document.getElementById("cards");
  const status = document.getElementById("matches");
  const [previous, next] = ["previous", "next"].map((id) => document.getElementById(id));
  const PROBES = JSON.parse(document.getElementById("explorer-prompts").textContent);
  const CHOICES = {  // of each filter: value and what it is called; "" lets everything through
    probe: names.probes.map((name, i) => [String(i), PROBES[name] || name]),
    cohort: all(names.cohorts), secret_type: all(names.secret_types), dose: [["", "all"], ...names.doses.map((d) => [String(d), d ? `${d} times` : "never planted"])],
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

  function shared(completion) { return names.shared.includes(completion[0]); }  // one model for both arms, trained with no canary

  function saw(canary, completion) { return canary[3] > 0 && completion[1] === canary[4] && !shared(completion); }

  function matching(want) {
    const is = (key, value) => !want[key] || want[key] === String(value);
    const contains = (want.text || "").toLowerCase();
    const matches = [];
    for (const [place, probe, target, completions] of cards) {
      const canary = canaries[place];
      if (!(is("probe", probe) && is("secret_type", canary[1]) && is("cohort", canary[2]) && is("dose", canary[3]))) continue;
      if (contains && !`${canary[0]}\n${text(target)}`.toLowerCase().includes(contains)) continue;
      const kept = completions.filter((c) => is("policy", c[0]) && is("seed", c[2]) && is("memorized", c[4]) && is("arm", Number(saw(canary, c))));
      if (kept.length) matches.push([canary, probe, target, kept]);
    }
    return matches;
  }

  function text(place) { return texts[place].map((p) => pieces[p]).join(""); }

  // Longest common subsequence of two lists, as [tag, place] in reading order: "same" and "ins" of `given`, "del" of `wanted`.
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

  function differenceCell(target, given) {
    const steps = difference(texts[target], texts[given]);
    const few = 4 * steps.filter(([tag]) => tag === "same").length < texts[target].length;
    const cell = element("td", { class: "code" });
    let last = null;
    for (const [tag, place] of few ? steps.filter(([tag]) => tag !== "del") : steps) {
      if (last && last.tag === tag) { last.node.append(pieces[place]); continue; }
      last = { tag, node: tag === "same" ? element("span", { class: "same" }, pieces[place]) : element(tag, {}, pieces[place]) };
      cell.append(last.node);
    }
    if (!texts[given].length) cell.append("(nothing)");
    return cell;
  }

  function number(value, digits) { return value === null ? "–" : value.toFixed(digits).replace("-", "−"); }

  function card([canary, probe, target, completions], place) {
    const [id, secretType, cohort, dose, , prefix, suffix] = canary;
    const planted = dose ? `planted ${dose === 1 ? "once" : `${dose} times`} in ${names.cohorts[cohort]}` : "never planted";
    const head = element("h3", { id: `card-${place}` }, id, " ", element("small", {}, `${names.secret_types[secretType]}, ${planted}`));
    const prompt = element("details", {}, element("summary", {}, "prompt, as planted"),
      element("div", { class: "code" }, prefix, element("span", { class: "hole" }, "[target]"), suffix));
    const several = names.seeds.length > 1;
    const titles = ["policy", "arm", ...(several ? ["seed"] : []), "memorized", "distance", "log p per token", "exposure", "completion"];
    const heads = titles.map((word) => element("th", { scope: "col", ...(/policy|arm|completion/.test(word) ? { class: "left" } : {}) }, word));
    const body = element("tbody");
    for (const completion of completions) {
      const [policy, arm, seed, given, memorized, distance, logprob, exposure] = completion;
      const trained = saw(canary, completion) ? "with it" : shared(completion) ? "without any canary" : "without it";
      const arms = dose ? `${names.arms[arm]}, ${trained}` : names.arms[arm];
      body.append(element("tr", {}, element("th", { scope: "row", class: "left" }, names.policies[policy]), element("td", { class: "left" }, arms),
        ...(several ? [element("td", { "data-name": "seed" }, String(seed))] : []), element("td", { "data-name": "memorized" }, memorized ? "● yes" : "no"),
        element("td", { "data-name": "distance" }, number(distance, 2)), element("td", { "data-name": "log p" }, number(logprob, 2)),
        element("td", { "data-name": "exposure" }, number(exposure, 1)), differenceCell(target, given)));
    }
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
    return element("article", { class: "card", "aria-labelledby": `card-${place}` }, head,
      element("small", {}, "target"), element("div", { class: "code target" }, text(target)),
      prompt, element("div", { class: "wide" }, table));
  }

  function show(remember) {
    const want = chosen();
    const matches = matching(want);
    const pages = Math.max(1, Math.ceil(matches.length / PAGE));
    page = Math.min(Math.max(0, page), pages - 1);
    const completions = matches.reduce((sum, one) => sum + one[3].length, 0);
    const count = (n, word, many) => `${n.toLocaleString("en")} ${n === 1 ? word : many}`;
    status.textContent = `${count(matches.length, "canary", "canaries")}, ${count(completions, "completion", "completions")}; page ${page + 1} of ${pages}`;
    list.replaceChildren(...matches.slice(page * PAGE, (page + 1) * PAGE).map(card));
    if (!matches.length) list.append(element("p", {}, "No canary fits these filters."));
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
