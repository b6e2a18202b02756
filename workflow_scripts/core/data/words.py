"""Plain words and invented names that synthetic canaries are drawn from; none is a real person, host or project."""

NOUNS = """anchor basin beacon bramble canyon cedar cinder clover cobalt copper coral delta ember falcon fennel fjord garnet
glacier granite harbor hazel heron indigo ivory jasper juniper kestrel lagoon lantern larch lichen lotus magnet maple marble
meadow mesa nectar nickel oasis onyx opal orchid osprey otter pebble pepper petrel pine plover prairie quarry quartz raven reef
ridge saffron sage sienna sierra slate sorrel spruce summit tarn teal thistle thunder tidal timber topaz tundra umber valley
velvet walnut willow yarrow zephyr""".split()
FIRST = """adira bastian calla dorian elowen farid greta hollis imani joren kaia lucan maren nadim odette pavel quilla rohan
saskia tobin ulla viggo wanda xenia yusuf zelda anouk brisa cosmo delphi emeka faye gideon hana ilya jola kofi liora mateo
nerys""".split()
LAST = """abernal birchmoor castelan dunmore eskola farrow-vale grimsdal holloway-tarn ironwell jastrowe kellerby lindqvast
marchbank norcott oakhurst pellham quillfeather ravensby stormont tallowin underhay vantrell westmark yarrowby zellner ashgrove
brackwell coldbrook dovecote elderfen""".split()
VERBS = "adjust blend collect derive expand filter gather hoist inspect join limit merge offset prune rescale smooth trim weigh".split()
