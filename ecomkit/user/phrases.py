"""Phrases by kind and operator: data only; :mod:`ecomkit.user.phrasing` puts them together.

A pair is (fragment, predicate). A fragment hangs on a noun (``a lamp under $40``), a predicate
follows "should" (``be under $40``). Fields: ``{v}`` value, ``{av}`` value with a or an,
``{lo}`` and ``{hi}`` ends of a range, ``{days}`` a number with its unit.
"""

from __future__ import annotations

Pair = tuple[str, str]

PAIRS: dict[tuple[str, str], tuple[Pair, ...]] = {
    ("category", "eq"): (
        ("in the {v} category", "be in the {v} category"),
        ("from the {v} category", "be from the {v} category"),
        ("that's listed under {v}", "be listed under {v}"),
        ("from your {v} section", "come from your {v} section"),
    ),
    ("brand", "eq"): (
        ("from {v}", "be from {v}"),
        ("by {v}", "be by {v}"),
        ("made by {v}", "be made by {v}"),
        ("from {v}", "come from {v}"),
        ("from the brand {v}", "be from the brand {v}"),
    ),
    ("store", "eq"): (
        ("sold by {v}", "be sold by {v}"),
        ("from the seller {v}", "come from the seller {v}"),
        ("that {v} sells", "be one that {v} sells"),
        ("offered by {v}", "be offered by {v}"),
    ),
    ("price_cents", "le"): (
        ("for {v} or less", "cost {v} or less"),
        ("for no more than {v}", "cost no more than {v}"),
        ("for {v} at most", "cost {v} at most"),
        ("for up to {v}", "be {v} or less"),
        ("that costs {v} or less", "cost at most {v}"),
        ("for {v} tops", "be {v} tops"),
        ("at {v} max", "stay within {v}"),
    ),
    ("price_cents", "under"): (
        ("under {v}", "be under {v}"),
        ("that's under {v}", "cost under {v}"),
    ),
    ("price_cents", "ge"): (
        ("for {v} or more", "cost {v} or more"),
        ("for at least {v}", "cost at least {v}"),
        ("from {v} upwards", "be {v} or more"),
        ("that costs at least {v}", "cost {v} at the very least"),
    ),
    ("price_cents", "eq"): (
        ("for {v}", "cost {v}"),
        ("priced at {v}", "be priced at {v}"),
        ("that costs {v}", "cost exactly {v}"),
        ("at {v}", "be {v}"),
    ),
    ("price_cents", "between"): (
        ("between {lo} and {hi}", "cost between {lo} and {hi}"),
        ("for {lo} to {hi}", "be between {lo} and {hi}"),
        ("in the {lo} to {hi} range", "be in the {lo} to {hi} range"),
        ("somewhere from {lo} to {hi}", "be anywhere from {lo} to {hi}"),
    ),
    ("rating", "ge"): (
        ("with at least {v} stars", "have at least {v} stars"),
        ("rated {v} or higher", "be rated {v} or higher"),
        ("with {v} stars or more", "have {v} stars or more"),
        ("with a rating of {v} or better", "have a rating of {v} or better"),
        ("that's rated at least {v} stars", "be rated at least {v} stars"),
    ),
    ("rating", "le"): (
        ("with {v} stars or fewer", "have {v} stars or fewer"),
        ("rated {v} or lower", "be rated {v} or lower"),
        ("with at most {v} stars", "have at most {v} stars"),
    ),
    ("rating", "eq"): (
        ("rated {v}", "be rated {v}"),
        ("with {v} stars", "have {v} stars"),
        ("with a rating of {v}", "have a rating of {v}"),
    ),
    ("rating", "between"): (
        ("rated between {lo} and {hi}", "be rated between {lo} and {hi}"),
        ("with {lo} to {hi} stars", "have {lo} to {hi} stars"),
    ),
    ("rating_count", "ge"): (
        ("with at least {v} reviews", "have at least {v} reviews"),
        ("with {v} or more reviews", "have {v} or more reviews"),
        ("that at least {v} people have reviewed", "be reviewed by at least {v} people"),
        ("with no fewer than {v} ratings", "have no fewer than {v} ratings"),
    ),
    ("rating_count", "le"): (
        ("with at most {v} reviews", "have at most {v} reviews"),
        ("with {v} reviews or fewer", "have {v} reviews or fewer"),
    ),
    ("rating_count", "eq"): (
        ("with {v} reviews", "have {v} reviews"),
        ("with exactly {v} ratings", "have exactly {v} ratings"),
    ),
    ("rating_count", "between"): (
        ("with {lo} to {hi} reviews", "have between {lo} and {hi} reviews"),
    ),
    ("ship_days", "le"): (
        ("that ships within {days}", "ship within {days}"),
        ("with delivery in {days} or less", "arrive in {days} or less"),
        ("that gets here within {days}", "get here within {days}"),
        ("that arrives in {days} at most", "take {days} at most to arrive"),
        ("with shipping in no more than {days}", "take no more than {days} to ship"),
    ),
    ("ship_days", "today"): (
        ("that ships today", "ship today"),
        ("with same-day shipping", "have same-day shipping"),
        ("that ships the same day", "ship the same day"),
    ),
    ("ship_days", "ge"): (
        ("that takes at least {days} to ship", "take at least {days} to ship"),
        ("that ships in {days} or more", "ship in {days} or more"),
    ),
    ("ship_days", "eq"): (
        ("that ships in {days}", "ship in {days}"),
        ("with delivery in {days}", "arrive in {days}"),
    ),
    ("ship_days", "between"): (
        ("that arrives in {lo} to {hi} days", "arrive in {lo} to {hi} days"),
    ),
    ("color", "eq"): (
        ("in {v}", "be {v}"),
        ("in {v}", "come in {v}"),
        ("in the color {v}", "be in {v}"),
        ("that comes in {v}", "come in {v}"),
    ),
    ("size", "plain"): (
        ("in size {v}", "be size {v}"),
        ("in size {v}", "be a size {v}"),
        ("in size {v}", "come in size {v}"),
        ("that's size {v}", "be in size {v}"),
    ),
    ("size", "named"): (
        ("in {v} size", "be {v} size"),
        ("in the {v} size", "be the {v} size"),
        ("in size {v}", "come in {v} size"),
    ),
    ("size", "measure"): (
        ("that's {v}", "be {v}"),
        ("in the {v} size", "be the {v} one"),
        ("that comes in the {v} size", "come in the {v} size"),
    ),
    ("size", "count"): (
        ("with {v}", "have {v}"),
        ("that comes with {v}", "come with {v}"),
        ("with {v} in it", "be the one with {v}"),
    ),
    ("size", "fits"): (
        ("for {v}", "be for {v}"),
        ("made for {v}", "be made for {v}"),
        ("that's for {v}", "be the one for {v}"),
    ),
    ("size", "set"): (
        ("in {av}", "come in {av}"),
        ("that comes in {av}", "come as {av}"),
        ("as {av}", "be {av}"),
    ),
    ("size", "storage"): (
        ("with {v}", "have {v}"),
        ("that has {v}", "come with {v}"),
        ("with {v} of space", "have {v} of space"),
    ),
    ("size", "eq"): (
        ("in the {v} size", "be the {v} one"),
        ("in the {v} version", "be the {v} version"),
        ("that comes in the {v} size", "come in the {v} size"),
    ),
    ("part", "eq"): (
        ("with {av}", "have {av}"),
        ("that has {av}", "come with {av}"),
        ("that comes with {av}", "be the one with {av}"),
    ),
    ("material", "eq"): (
        ("made of {v}", "be made of {v}"),
        ("in {v}", "be made out of {v}"),
        ("made from {v}", "be made from {v}"),
        ("that's made of {v}", "be in {v}"),
    ),
    ("connector_type", "eq"): (
        ("with {v}", "have {v}"),
        ("with {av} connector", "have {av} connector"),
        ("that uses {v}", "use {v}"),
        ("with {av} connection", "have {av} connection"),
    ),
    ("connector_type", "link"): (
        ("with {av} connection", "have {av} connection"),
        ("that's {v}", "be {v}"),
        ("with {v}", "come with {v}"),
    ),
    ("connector_type", "wireless"): (
        ("with {v}", "have {v}"),
        ("that works over {v}", "work over {v}"),
        ("that connects over {v}", "connect over {v}"),
    ),
    ("connector_type", "powered"): (
        ("that's {v}", "be {v}"),
        ("of the {v} kind", "be the {v} kind"),
        ("of the {v} type", "be the {v} type"),
    ),
    ("item_form", "form"): (
        ("in {v} form", "be in {v} form"),
        ("that comes in {v} form", "come in {v} form"),
        ("in the form of {av}", "come as {av}"),
    ),
    ("item_form", "eq"): (
        ("of the {v} kind", "be the {v} kind"),
        ("of the {v} type", "be the {v} type"),
        ("of the {v} sort", "be the {v} sort"),
    ),
    ("skin_type", "eq"): (
        ("for {v} skin", "be for {v} skin"),
        ("that suits {v} skin", "suit {v} skin"),
        ("made for {v} skin", "be made for {v} skin"),
        ("that's right for {v} skin", "work for {v} skin"),
    ),
    ("skin_type", "all"): (
        ("for all skin types", "be for all skin types"),
        ("that suits all skin types", "suit all skin types"),
        ("made for all skin types", "work for all skin types"),
    ),
    ("finish_type", "eq"): (
        ("with {av} finish", "have {av} finish"),
        ("in {av} finish", "come in {av} finish"),
        ("that has {av} finish", "come with {av} finish"),
    ),
    ("age_range", "ages"): (
        ("for ages {v}", "be for ages {v}"),
        ("that suits ages {v}", "suit ages {v}"),
        ("made for ages {v}", "be right for ages {v}"),
    ),
    ("age_range", "people"): (
        ("for {v}", "be for {v}"),
        ("that's meant for {v}", "be meant for {v}"),
        ("suitable for {v}", "be suitable for {v}"),
    ),
    ("wattage", "le"): (
        ("with no more than {v}", "have no more than {v}"),
        ("of {v} or less", "be {v} or less"),
        ("rated at {v} or less", "be rated at {v} or less"),
        ("with {v} at most", "have {v} at most"),
    ),
    ("wattage", "ge"): (
        ("with at least {v}", "have at least {v}"),
        ("with {v} or more", "have {v} or more"),
        ("rated at {v} or more", "be rated at {v} or more"),
        ("of at least {v}", "be at least {v}"),
    ),
    ("wattage", "eq"): (
        ("with {v}", "have {v}"),
        ("rated at {v}", "be rated at {v}"),
        ("of exactly {v}", "be {v}"),
    ),
    ("wattage", "between"): (
        ("with {lo} to {hi} watts", "have {lo} to {hi} watts"),
        ("somewhere between {lo} and {hi} watts", "be between {lo} and {hi} watts"),
    ),
    ("weight_lbs", "le"): (
        ("that weighs {v} or less", "weigh {v} or less"),
        ("that weighs no more than {v}", "weigh no more than {v}"),
        ("of {v} at most", "weigh {v} at most"),
        ("weighing at most {v}", "be {v} or lighter"),
    ),
    ("weight_lbs", "ge"): (
        ("that weighs {v} or more", "weigh {v} or more"),
        ("that weighs at least {v}", "weigh at least {v}"),
        ("weighing at least {v}", "be {v} or heavier"),
    ),
    ("weight_lbs", "eq"): (
        ("that weighs {v}", "weigh {v}"),
        ("weighing {v}", "weigh exactly {v}"),
    ),
    ("weight_lbs", "between"): (
        ("weighing {lo} to {hi} pounds", "weigh between {lo} and {hi} pounds"),
        ("that weighs {lo} to {hi} pounds", "weigh {lo} to {hi} pounds"),
    ),
    ("screen_size_inches", "le"): (
        ("with a screen of {v} inches or less", "have a screen of {v} inches or less"),
        ("with {av}-inch screen or smaller", "have {av}-inch screen or smaller"),
        ("with a display of at most {v} inches", "have a display of at most {v} inches"),
    ),
    ("screen_size_inches", "ge"): (
        ("with a screen of at least {v} inches", "have a screen of at least {v} inches"),
        ("with {av}-inch screen or bigger", "have {av}-inch screen or bigger"),
        ("with a display of {v} inches or more", "have a display of {v} inches or more"),
    ),
    ("screen_size_inches", "eq"): (
        ("with {av}-inch screen", "have {av}-inch screen"),
        ("with a screen of {v} inches", "have a screen of {v} inches"),
        ("with {av}-inch display", "have {av}-inch display"),
    ),
    ("screen_size_inches", "between"): (
        (
            "with a screen between {lo} and {hi} inches",
            "have a screen between {lo} and {hi} inches",
        ),
        ("with a screen of {lo} to {hi} inches", "have a screen of {lo} to {hi} inches"),
    ),
    ("title", "contains"): (
        ('called "{v}"', 'be called "{v}"'),
        ('with "{v}" in the name', 'have "{v}" in the name'),
        ("called {v}", "be called {v}"),
        ('that says "{v}" in the title', 'say "{v}" in the title'),
        ('named "{v}"', 'be named "{v}"'),
    ),
    ("viewed", "eq"): (
        ("that I was looking at the other day", "be the one I was looking at the other day"),
        ("that I looked at recently", "be the one I looked at recently"),
        ("that I had a look at earlier", "be the one I had a look at earlier"),
        ("that I've already had open here", "be the one I've already had open here"),
        ("that I came across in your shop lately", "be the one I came across in your shop lately"),
        ("that I viewed recently", "be the one I viewed recently"),
    ),
    ("any", "sort"): (
        ("of the {v} {name}", "be of the {v} {name}"),
        ("with {v} as the {name}", "have {v} as the {name}"),
        ("in the {v} {name}", "come in the {v} {name}"),
    ),
    ("any", "with"): (
        ("{v}", "come {v}"),
        ("that comes {v}", "be the one {v}"),
        ("that's {v}", "be {v}"),
    ),
    ("any", "eq"): (
        ("with {v} {name}", "have {v} {name}"),
        ("with {v} as the {name}", "have {v} as the {name}"),
        ("with {v} for the {name}", "come with {v} {name}"),
    ),
    ("any", "yes"): (
        ("with {name}: yes", "have {name}: yes"),
        ("with a yes for {name}", "say yes for {name}"),
        ("with yes under {name}", "say yes under {name}"),
    ),
    ("any", "no"): (
        ("with {name}: no", "have {name}: no"),
        ("with a no for {name}", "say no for {name}"),
        ("with no under {name}", "say no under {name}"),
    ),
}

# Frames of a sentence that states one requirement. {n} noun, {some} "a lamp", {f} fragment,
# {F} fragment with a capital, {p} predicate, {they} it/they, {needs} needs/need, {has} has/have.
# "!" marks frames whose fragment must be able to stand alone (no "that ...").
NAMED: tuple[str, ...] = (
    "The {n} should {p}.",
    "I'd like the {n} to {p}.",
    "I want the {n} to {p}, please.",
    "The {n} {needs} to {p}.",
    "The {n} {has} to {p}.",
    "I'm after {some} {f}.",
    "I want {some} {f}.",
    "As for the {n}, {they} should {p}.",
    "For the {n}, I'd like one {f}.",
    "!The {n}: {f}, please.",
    "!The {n}? {F}, please.",
    "When it comes to the {n}, {they} {has} to {p}.",
    "!It's {some} {f} that I'm looking for.",
)

UNNAMED: tuple[str, ...] = (
    "It should {p}.",
    "I'd like it to {p}.",
    "It needs to {p}.",
    "It has to {p}.",
    "I want it to {p}, please.",
    "I'd like one {f}.",
    "I'm after one {f}.",
    "!{F}, please.",
    "!{F}.",
    "!Something {f}, please.",
    "One {f}, if you have it.",
)

# Sentences that only one kind has: with a noun, and without.
OWN_NAMED: dict[str, tuple[str, ...]] = {
    "brand": (
        "The brand of the {n} should be {v}.",
        "{v}, please, that's the brand I want for the {n}.",
        "I only buy {v} when it comes to the {n}.",
        "For the {n}, the brand is {v}.",
    ),
    "store": ("I'd like to buy the {n} from {v}.", "The seller of the {n} should be {v}."),
    "color": ("The {n} in {v}, please.", "I'd like {v} for the {n}."),
    "skin_type": ("My skin type is {v}, so the {n} should suit that.",),
    "viewed": (
        "I was looking at the {n} the other day.",
        "I've already looked at the {n} in your shop.",
        "I had the page of the {n} open recently.",
        "You should find the {n} among the things I viewed.",
        "I saw the {n} here recently and that's what I want.",
        "I had a look at the {n} here a few days ago.",
        "The {n} should be in my browsing history.",
        "I came across the {n} in your shop lately.",
        "I viewed the {n} recently.",
    ),
}
OWN_UNNAMED: dict[str, tuple[str, ...]] = {
    "brand": (
        "The brand should be {v}.",
        "{v}, please.",
        "I'd like the brand to be {v}.",
        "{v} is the brand I want.",
    ),
    "store": ("I'd like to buy it from {v}.", "The seller should be {v}."),
    "skin_type": ("My skin type is {v}.",),
    "viewed": (
        "It's one I was looking at the other day.",
        "Yes, I looked at it recently.",
        "I had its page open a few days ago.",
        "You should find it among the things I viewed.",
        "I've already looked at it in your shop.",
        "It's in my browsing history.",
        "I came across it in your shop lately.",
        "I saw it here recently and I want that very one.",
    ),
}

CORRECT_VIEWED: tuple[str, ...] = (
    "I meant the {n} I was looking at the other day.",
    "I want the {n} from my browsing history.",
    "I'm talking about the {n} I viewed recently.",
    "What I need is the {n} I had a look at earlier.",
    "Please find the {n} I came across in your shop lately.",
    "I'd like the {n} I looked at before, not something new.",
    "I asked for the {n} I've already looked at.",
    "The {n} I mean should be among the things I viewed.",
)
CORRECT_NAMED: tuple[str, ...] = (
    "The {n} should {p}.",
    "I wanted the {n} to {p}.",
    "The {n} {was} supposed to {p}.",
    "I asked for {some} {f}.",
    "What I need is {some} {f}.",
    "{Thats} the right {n}, {they} should {p}.",
    "The {n} I want {has} to {p}.",
    "Please change the {n}, {they} {has} to {p}.",
    "I meant {some} {f}.",
)
CORRECT_UNNAMED: tuple[str, ...] = (
    "It should {p}.",
    "I wanted it to {p}.",
    "It was supposed to {p}.",
    "I asked for one {f}.",
    "What I need is one {f}.",
    "That's not the right one, it should {p}.",
    "The one I want has to {p}.",
    "I meant one {f}.",
)
SWITCH: tuple[str, ...] = (
    "Actually, {rest}",
    "Sorry, I changed my mind: {rest}",
    "Oh wait, {rest}",
    "On second thought, {rest}",
    "One change from me: {rest}",
    "Change of plan: {rest}",
    "Hang on, I've reconsidered: {rest}",
    "Sorry to be a pain, but {rest}",
)
SWITCH_REST: tuple[str, ...] = (
    "I'd rather have {some} {f}.",
    "the {n} should {p}.",
    "I'd like the {n} to {p} instead.",
    "make that {some} {f}.",
    "let's go with {some} {f} instead.",
)

QUANTITY_NAMED: tuple[str, ...] = (
    "I need {c}.",
    "{C}, please.",
    "I'd like {c}.",
    "I want {c}.",
    "Make that {c}.",
    "As for the {n}, I need {c}.",
    "That would be {c}.",
    "{C} in total, please.",
    "I'll take {c}.",
)
QUANTITY_UNNAMED: tuple[str, ...] = (
    "I need {k}.",
    "{K}, please.",
    "I'd like {k} of them.",
    "{K} of them, please.",
    "I want {k} of those.",
    "Make it {k}.",
    "That would be {k}.",
    "I'll take {k}.",
)
QUANTITY_CORRECT: tuple[str, ...] = (
    "I need {c}, the number is off.",
    "The quantity is wrong, I want {c}.",
    "I asked for {c}.",
    "It should be {c}.",
    "That's not the right number, I need {c}.",
    "Please make it {c}.",
    "There should be {c}.",
    "I said {c}.",
)
QUANTITY_SWITCH: tuple[str, ...] = (
    "make that {c}.",
    "I need {c}.",
    "I'd rather have {c}.",
    "let's make it {c} instead.",
    "{c} would be better.",
)

IF_SOLD_OUT: tuple[str, ...] = (
    "If the {n} {is} sold out",
    "If the {n} {is} out of stock",
    "In case the {n} {is} gone",
    "If you've run out of the {n}",
    "If the {n} {is}n't available",
    "Should the {n} be unavailable",
    "If you can't get me the {n}",
    "If the {n} {is} not in stock any more",
)
IF_IT_SOLD_OUT: tuple[str, ...] = (
    "If it's sold out",
    "If it's out of stock",
    "In case it's gone",
    "If you've run out of it",
    "If it isn't available",
    "Should it be unavailable",
    "If you can't get it",
    "If it's not in stock any more",
)
FALLBACK_SKIP: tuple[str, ...] = (
    "just leave {it} out",
    "just skip {it}",
    "leave {it} off the order",
    "I'll do without",
    "then I don't need {it} at all",
    "forget about {it}",
    "don't replace {it} with anything",
    "you can drop {it}",
)
FALLBACK_TAKE: tuple[str, ...] = (
    "get me {x} instead",
    "I'll take {x} instead",
    "please go for {x}",
    "{x} would be fine too",
    "I'd be happy with {x}",
    "then {x}, please",
    "please give me {x} then",
    "my second choice is {x}",
)

CHECKOUT_YES: tuple[str, ...] = (
    "Please place the order once everything's in the cart.",
    "When it's all in the cart, go ahead and order it.",
    "Please check out for me when you're done.",
    "I'd like you to place the order too.",
    "Once the cart is right, please complete the purchase.",
    "Please order it straight away, don't just leave it in the cart.",
    "Go ahead and check out when everything's there.",
    "Please finish the order for me as well.",
    "I want to order today, so please check out at the end.",
)
CHECKOUT_NO: tuple[str, ...] = (
    "Just leave everything in the cart, I'll check out myself.",
    "Don't place the order yet, the cart is enough.",
    "No need to check out, I'll do that later.",
    "Please only fill the cart for now.",
    "I'll order it myself, just put it in the cart.",
    "Leave it in the cart, please.",
    "I'm not ordering yet, just fill the cart.",
    "The cart is all I need, I'll pay later.",
)
CODE_ONE: tuple[str, ...] = (
    "I have the code {v}.",
    "I've got a discount code: {v}.",
    "Please use the code {v}.",
    "My promo code is {v}.",
    "There's a code I'd like to use: {v}.",
    "Can you apply {v}? It's a discount code.",
    "I have a coupon, the code is {v}.",
    "Please apply my coupon {v}.",
    "The code is {v}.",
)
CODE_MANY: tuple[str, ...] = (
    "I have the codes {v}, please use whichever saves me the most.",
    "I've got a few discount codes: {v}. Use the best one, please.",
    "My codes are {v}. Whichever takes the most off, please.",
    "Please try {v} and use the code that saves me the most.",
    "I was sent the codes {v}, please apply the better deal.",
    "You can use one of these codes, whichever is best: {v}.",
    "I have coupons {v}, please pick the one that's worth the most.",
    "The codes I have are {v}. I'd like the biggest discount.",
)
CODE_NONE: tuple[str, ...] = (
    "I don't have a discount code.",
    "No code, sorry.",
    "I haven't got any coupons.",
    "No promo code from me.",
    "I have no code to use.",
    "There's no code, no.",
    "No coupon this time.",
    "I don't have any vouchers.",
)
BUDGET: tuple[str, ...] = (
    "My budget is {v} in total.",
    "I can spend {v} altogether, no more.",
    "Everything together should cost {v} at most.",
    "I've set aside {v} for all of it.",
    "The whole lot can't go over {v}.",
    "I'd like to keep the total within {v}.",
    "{v} is the most I can spend overall.",
    "In total I don't want to spend more than {v}.",
    "It all has to fit into {v}.",
)
PRIORITY: tuple[str, ...] = (
    "What matters most to me is {list}.",
    "The most important thing is {list}.",
    "First comes {list}.",
    "I care most about {list}.",
    "My priorities are, in this order: {list}.",
    "For me it's {list}, in that order.",
    "Top of my list is {list}.",
    "Mainly it's about {list}.",
)
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "price": ("the price", "a low price"),
    "rating": ("the rating", "good ratings"),
    "shipping": ("fast shipping", "quick delivery"),
    "brand": ("the brand", "getting the right brand"),
    "similarity": ("how similar it is", "that it's similar"),
}

# Kinds whose value carries the words to say: {text} is a clause or a noun phrase.
FREE: dict[str, tuple[str, ...]] = {
    "order": (
        "It's about {text}.", "It's {text}.", "I mean {text}.", "That would be {text}.",
        "I'm talking about {text}.", "This is about {text}.", "The order I mean is {text}.",
        "{Text}, please.", "{Text}.",
    ),
    "order_line": (
        "It's {text}.", "I mean {text}.", "It's about {text}.", "That would be {text}.",
        "The item is {text}.", "{Text}.", "It's {text} I'm talking about.", "Just {text}.",
    ),
    "reason": (
        "{Text}.", "Because {text}.", "The reason is that {text}.", "Well, {text}.",
        "It's because {text}.", "Simply because {text}.", "The thing is, {text}.",
        "Honestly, {text}.",
    ),
    "condition": (
        "It's {text}.", "It is {text}.", "{Text}.", "As for its condition, it's {text}.",
        "I can tell you that it's {text}.", "Right now it's {text}.", "It's {text}, I checked.",
        "The item is {text}.",
    ),
    "project": (
        "I'm {text}.", "It's for a project: I'm {text}.", "Well, I'm {text}.",
        "At the moment I'm {text}.", "It's because I'm {text}.", "Basically, I'm {text}.",
        "We're {text}.", "The plan is that I'm {text}.",
    ),
    "replacement": (
        "I'd like {text} instead.", "I want to exchange it for {text}.",
        "Please swap it for {text}.", "I'd rather have {text}.", "In exchange I'd like {text}.",
        "{Text} instead, please.", "As a replacement, {text} please.",
        "I'm hoping to get {text} for it.",
    ),
    "question": (
        "{Text}", "My question is: {text}", "What I'd like to know: {text}",
        "Quick question: {text}",
        "I wanted to ask: {text}", "Here's what I want to know: {text}", "I was wondering: {text}",
        "I have a question: {text}",
    ),
}  # fmt: skip
REFUND: tuple[str, ...] = (
    "I just want my money back.", "A refund, please.", "I'd like a refund.",
    "No replacement, just a refund please.", "I'd rather have the money back.",
    "Refund me, please.", "I don't want another one, a refund will do.", "Money back, please.",
)  # fmt: skip

GREETINGS: tuple[str, ...] = (
    "Hi!", "Hello,", "Hi there,", "Hey,", "Good morning,", "Hi,", "Hello there!", "Good evening,",
)  # fmt: skip
OPEN_ONE: dict[str, tuple[str, ...]] = {
    "cart": (
        "I need {x}.",
        "I'd like to buy {x}.",
        "Could you put {x} in my cart?",
        "Please add {x} to my cart.",
        "Can you get me {x}?",
        "I'm looking to buy {x}.",
        "I want to order {x}.",
        "I'm after {x}.",
        "Can you find me {x} and put {it} in my cart?",
        "Could you help me get {x}?",
        "Looking for {x}, please add {it} to my cart.",
        "I'd like {x} in my cart, please.",
        "Shopping for {x} today.",
    ),
    "discovery": (
        "I'm looking for {x}.",
        "Can you recommend {x}?",
        "Could you help me find {x}?",
        "Any suggestions for {x}?",
        "I'm in the market for {x}.",
        "What would you suggest if I want {x}?",
        "I need {x}, what do you have?",
        "Show me {x}, please.",
        "I'm trying to find {x}.",
        "I'd like some ideas for {x}.",
        "Do you carry {x}?",
        "Help me pick {x}.",
    ),
    "substitution": (
        "I'm looking for a substitute for something that's sold out: {x}.",
        "Can you find me an alternative to something that's sold out? I need {x}.",
        "My first choice is gone, so I'm looking for {x} instead.",
        "The one I wanted is out of stock. I still need {x}.",
        "I need a replacement for something you no longer have: {x}.",
        "You've run out of the one I wanted. I need {x}.",
        "What I wanted isn't available right now. Can you suggest {x} instead?",
        "I need a substitute, because my favorite is sold out: {x}.",
        "Is there an alternative to what's sold out? I'm after {x}.",
        "Sadly my pick is out of stock. What else is there if I want {x}?",
    ),
}
OPEN_ONE["journey.cart"] = (
    "Could you put {x} in my cart?",
    "Please add {x} to my cart.",
    "Can you find me {x} and put {it} in my cart?",
    "Looking for {x}, please add {it} to my cart.",
    "I'd like {x} in my cart, please.",
    "Please put {x} in the cart for me.",
    "I want to buy {x}, so please put {it} in my cart.",
    "Could you add {x} to the cart?",
)
OPEN_ONE["bundle"] = (
    "I need {x}.",
    "To begin with, I need {x}.",
    "For one thing, I need {x}.",
    "I can't do without {x}.",
    "One thing I need is {x}.",
    "What I need first of all is {x}.",
    "I definitely want {x}.",
    "It starts with {x}.",
)
OPEN_MANY: tuple[str, ...] = (
    "I need {x}.",
    "I'd like to buy {x}.",
    "Could you put {x} in my cart?",
    "Please add {x} to my cart.",
    "I'm looking to buy {x}.",
    "Can you get me {x}?",
    "I want to order {x}.",
    "I've got a small list today: {x}.",
    "Here's what I need: {x}.",
    "Can you help me get {x}?",
    "A few things for my cart: {x}.",
    "I'm shopping for {x}.",
)
OPEN_LIST: tuple[str, ...] = (
    "I need a few things:",
    "Here's my shopping list:",
    "Could you put these in my cart?",
    "I'd like to buy the following:",
    "Please add these to my cart:",
    "Can you help me get these?",
    "This is what I'm after:",
    "I've got a short list for you:",
)
FIRST_ITEM: tuple[str, ...] = (
    "First, I need {x}.",
    "First of all, {x}.",
    "I'd like to buy {x}.",
    "I need a few things. First, {x}.",
    "There are a few things I need, starting with {x}.",
    "I'm looking for {x}, among other things.",
    "I've got a few things to buy. To start with, {x}.",
)
OPEN_SEVERAL: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "bundle": (
        (
            "I need {x}.",
            "What I need is {x}.",
            "On my list: {x}.",
            "I'm looking for {x}.",
            "Can you help me pick {x}?",
            "I'd like {x}.",
            "For that I need {x}.",
            "Could you suggest {x}?",
        ),
        (
            "Here's my list:",
            "This is what I need:",
            "What I'm after:",
            "On my list:",
            "I need the following:",
            "Can you find me these?",
            "Could you pick something for each of these?",
            "What I have on the list:",
        ),
        (
            "First, I need {x}.",
            "First of all, {x}.",
            "To start with, {x}.",
            "I need {x}.",
            "For one, {x}.",
            "Let's start with {x}.",
            "The first thing is {x}.",
            "To begin with, I'd like {x}.",
        ),
    ),
    "journey.cart": (
        (
            "Could you put {x} in my cart?",
            "Please add {x} to my cart.",
            "I'd like {x} in my cart.",
            "A few things for my cart: {x}.",
            "Can you put {x} in the cart for me?",
            "My cart should hold {x}.",
            "Please fill my cart with {x}.",
            "Into my cart, please: {x}.",
        ),
        (
            "Could you put these in my cart?",
            "Please add these to my cart:",
            "I'd like these in my cart:",
            "These should go into my cart:",
            "For my cart, please:",
            "Can you fill my cart with the following?",
            "Put these in the cart for me, please:",
            "What I want in my cart:",
        ),
        (
            "I'd like a few things in my cart. First, {x}.",
            "Please fill my cart. To start with, {x}.",
            "Some things for my cart, please. First of all, {x}.",
            "Could you put a few things in my cart? First, {x}.",
            "My cart is still empty. I'd like {x} in it.",
            "Please put {x} in my cart first.",
            "Let's fill my cart, starting with {x}.",
            "A few things should go into my cart. First, {x}.",
        ),
    ),
}
"""Environment → frames for several things in one sentence, above a list, and for the first one.
In a journey the cart is always named, so that it is clear what is to be done."""
NEXT_ITEM: tuple[str, ...] = (
    "Then I need {x}.",
    "I also need {x}.",
    "Also {x}.",
    "Next, {x}.",
    "And {x}.",
    "I'd also like {x}.",
    "On top of that, {x}.",
    "Plus {x}.",
)
LAST_ITEM: tuple[str, ...] = (
    "And finally, {x}.",
    "Last but not least, {x}.",
    "And lastly {x}.",
    "The last thing is {x}.",
    "Oh, and {x}.",
)
MORE: tuple[str, ...] = (
    "{They} should {ps}.",
    "{They} {needs} to {ps}.",
    "{They} {has} to {ps}.",
    "I'd like {them} to {ps}.",
    "I want {them} to {ps}.",
)
THANKS: tuple[str, ...] = ("Thanks!", "Thank you!", "Thanks a lot.", "Cheers!", "Many thanks.")

REPLIES: dict[str, tuple[str, ...]] = {
    "confirm": (
        "Yes, that's right.",
        "Yes, that looks good.",
        "That's the one, yes.",
        "Perfect, that's what I wanted.",
        "Yep, looks right to me.",
        "Yes, exactly.",
        "That's correct, thank you.",
        "Looks good to me.",
        "Right, go ahead.",
    ),
    "continue": (
        "Okay.",
        "Alright, please go on.",
        "Okay, thanks. Please carry on.",
        "Sure, go ahead.",
        "Fine by me, carry on.",
        "Okay, let me know when it's done.",
        "Got it.",
        "Sounds fine, please continue.",
    ),
    "nothing_more": (
        "No, that's everything.",
        "Nothing else, thanks.",
        "No, I think I've told you everything.",
        "That's all from me.",
        "Nope, that's it.",
        "No, nothing else comes to mind.",
        "That's really all there is to it.",
        "No, that covers it.",
    ),
    "unknown": (
        "Sorry, I'm not sure what you mean.",
        "I don't know, to be honest.",
        "I couldn't tell you, sorry.",
        "Hmm, I'm not sure I follow.",
        "Sorry, I can't answer that one.",
        "No idea, I'm afraid.",
        "I really don't know about that.",
        "Not sure what to say to that.",
    ),
    "no_preference": (
        "I don't mind either way.",
        "No preference there.",
        "That doesn't matter to me.",
        "Whatever, I'm not fussy about that.",
        "I don't have a preference.",
        "Anything is fine in that respect.",
        "I'm easy on that one.",
        "That's not important to me.",
    ),
    "repeat_lead": (
        "As I said:",
        "Like I said before:",
        "I mentioned that already:",
        "Again:",
        "I think I told you:",
        "As mentioned:",
        "I already said it, but here you go:",
        "Once more:",
    ),
    "mistake_lead": (
        "That's not quite right.",
        "Hmm, something's off.",
        "No, that isn't what I wanted.",
        "Wait, there's a mistake.",
        "I don't think that's right.",
        "Not quite.",
        "Sorry, but that's wrong.",
        "Hold on, that's not it.",
    ),
    "quit": (
        "This isn't working, I'll try somewhere else.",
        "Never mind, I'll shop somewhere else.",
        "I give up, sorry.",
        "This is taking too long, I'm leaving.",
        "Forget it, I'll do it myself.",
        "I've had enough of this, bye.",
        "I'm done trying, thanks anyway.",
        "No, this is going nowhere. Goodbye.",
    ),
    "done": (
        "Great, thank you!",
        "That's everything, thanks for your help!",
        "Perfect, thanks a lot.",
        "Wonderful, thank you. Bye!",
        "Thanks, that's all sorted then.",
        "Lovely, thanks for your help.",
        "Brilliant, cheers!",
        "Thanks, have a good day!",
    ),
    "extra_item": (
        "I didn't ask for the {title}.",
        "I never wanted the {title}, please take it out.",
        "What's the {title} doing there? I don't need that.",
        "The {title} isn't something I asked for.",
        "Please remove the {title}, I didn't order that.",
        "There's something in there that I don't want: the {title}.",
        "Why is the {title} in my cart? Please take it out.",
        "I don't need the {title}.",
    ),
    "wrong_item": (
        "The {title} isn't the one I meant.",
        "That {title} isn't what I'm after.",
        "I'm looking for a different one, not the {title}.",
        "No, the {title} isn't it.",
        "The {title} doesn't fit what I asked for.",
        "I meant another one, not the {title}.",
        "The {title} is not the right one.",
        "That's the wrong one, I don't want the {title}.",
    ),
    "sold_out_item": (
        "The {title} seems to be sold out.",
        "It says the {title} is sold out.",
        "I can see that the {title} is out of stock now.",
        "Looks like the {title} has just sold out.",
        "The {title} isn't available any more, as far as I can see.",
        "It looks like you've run out of the {title}.",
        "The {title} shows as out of stock.",
        "Hmm, the {title} is gone.",
    ),
    "missing_item": (
        "The {noun} is still missing.",
        "I don't see the {noun} yet.",
        "What about the {noun}?",
        "You forgot the {noun}.",
        "I still need the {noun}.",
        "The {noun} isn't there yet.",
        "And the {noun}?",
        "There's no {noun} in there.",
    ),
}
BY_KIND: dict[str, tuple[str, ...]] = {
    "checkout": (
        "No, just leave it in the cart, please.",
        "No need to order it yet, the cart is fine.",
        "Not yet, I'll place the order myself.",
        "No, please only fill the cart.",
        "No, I'll check out later.",
        "Leave it in the cart for now.",
        "Don't order it yet, thanks.",
        "No, the cart is all I need.",
    ),
    "discount_code": CODE_NONE,
    "quantity": (
        "Just one.",
        "One is enough.",
        "Only one, please.",
        "One, thanks.",
        "Just the one.",
        "A single one will do.",
        "One of it is fine.",
        "I only need one.",
    ),
    "viewed": (
        "No, I don't think I've looked at it before.",
        "Not that I remember.",
        "No, I haven't seen it before.",
        "I don't think so.",
        "No, it's new to me.",
        "I can't remember looking at it.",
        "No, I didn't browse for it.",
        "Not as far as I know.",
    ),
    "title": (
        "I don't know what it's called.",
        "No idea about the name, sorry.",
        "I can't remember the name.",
        "I don't know the exact name.",
        "The name escapes me.",
        "Sorry, I don't have the name.",
        "I couldn't tell you the model.",
        "I don't know the model name.",
    ),
}
"""What is said where a kind was asked about and there is no slot of it."""
