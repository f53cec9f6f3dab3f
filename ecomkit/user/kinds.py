# ruff: noqa: E501 - the patterns read better whole
"""What an agent can ask about, and the words by which a customer recognises it.

``MENTIONS``: in a question, the word itself is enough (*any brand preference?*).
``PATTERNS``: longer turns of phrase. ``VALUES``: words that only make sense as answers, so that
*black or white?* asks for the colour. All are matched on lower-case text, whole words.
"""

from __future__ import annotations

ASK_KINDS_EXTRA: tuple[str, ...] = ("details", "anything_else")

MENTIONS: dict[str, str] = {
    "category": r"categor(?:y|ies)|product type|type of (?:product|item|thing|article|good)s?"
    r"|(?:kind|sort) of (?:product|item|thing|article|good)s?|item type|department|section",
    "brand": r"brands?|brand names?|manufacturers?|makers?|labels?",
    "store": r"stores?|sellers?|vendors?|merchants?|retailers?|storefronts?|shops?",
    "price_cents": r"prices?|pricing|price[- ](?:range|limit|point|cap|ceiling)s?|cost|costs"
    r"|pric(?:e)?y|expensive|cheap|cheaper|affordable",
    "rating": r"ratings?|stars?|star ratings?|well[- ]reviewed|(?:highly|well|top)[- ]rated"
    r"|review scores?|average scores?|customer scores?",
    "rating_count": r"review counts?|rating counts?|(?:number|amount|quantity) of"
    r" (?:customer |user )?(?:reviews|ratings)|review numbers?|how many (?:\w+ )?(?:reviews|ratings)"
    r"|(?:many|few|lots of|enough|plenty of) (?:customer |user )?(?:reviews|ratings)",
    "ship_days": r"shipping|ship|deliver(?:y|ed)?|arrive|arrival|deadline|urgent(?:ly)?|urgency"
    r"|hurry|rush|lead time|dispatch(?:ed)?",
    "color": r"colou?rs?|shades?|hues?|colou?rways?|tints?",
    "size": r"sizes?|sizing|dimensions?|how (?:big|large|small|tall|wide|long)",
    "material": r"materials?|fabrics?|textiles?|made (?:of|from|out of)",
    "connector_type": r"connectors?|connector types?|plugs?|ports?|plug types?|interfaces?|jacks?"
    r"|connections?|sockets?|cable ends?|inputs?",
    "item_form": r"forms?|item forms?|form factors?|consistency|formats?|formulations?|textures?",
    "skin_type": r"skin|skin types?|complexion",
    "finish_type": r"finish(?:es)?|finished|sheen|shiny|surface finish",
    "age_range": r"ages?|aged|age (?:range|group|bracket)s?|how old|years old",
    "wattage": r"watts?|wattages?|power (?:output|rating|level|requirement)s?|how powerful"
    r"|how much power|power (?:do|should|would|does)|minimum power|the power",
    "weight_lbs": r"weights?|weigh|how heavy|how light|lightweight|heav(?:y|ier)|pounds|lbs",
    "screen_size_inches": r"screen sizes?|display sizes?|screens?|displays?|diagonals?|inch(?:es)?"
    r"|screen dimensions?",
    "title": r"model names?|product names?|item names?|titles?|models?|names?|called|product lines?",
    "viewed": r"brows(?:e|ed|ing)(?: history)?|visit history|viewing history|recently viewed"
    r"|recent(?:ly)? views?|view(?:ed|ing)",
    "variant": r"variants?|variations?|versions?|options?|configurations?|styles?",
    "quantity": r"quantit(?:y|ies)|how many|number of (?:units|items|pieces|copies)|how much of",
    "fallback": r"fall[- ]?backs?|back[- ]?ups?|plan b|second choice|substitutes?|substitutions?"
    r"|alternatives?|sold[- ]out|out of stock|unavailable|run out|runs out",
    "checkout": r"check[- ]?out|check(?:ing)? out|checked out|place (?:the|this|your|an|that) order"
    r"|(?:complete|finali[sz]e|finish|process|make|submit) (?:the|your|this|that) (?:purchase|order)"
    r"|pay now|buy (?:it|them|this|these) now|pay for (?:it|them|this|these|everything) now",
    "discount_code": r"codes?|coupons?|vouchers?|promos?|promo codes?|promotions?|discounts?"
    r"|promotional codes?|offer codes?",
    "budget": r"budgets?|budgeted",
    "priority": r"priorit(?:y|ies|i[sz]e|i[sz]ing)|matters? (?:the )?most|(?:most|more) important"
    r"|matters? more|care (?:the )?most|most important(?:ly)?|value most|deciding factor"
    r"|counts? most|trade[- ]?offs?",
    "order": r"order (?:number|id|reference|no)s?|which (?:\w+ )?orders?|which of your orders"
    r"|what order|which (?:package|parcel|delivery|shipment|purchase)",
    "order_line": r"(?:which|what) (?:\w+ )?(?:item|product|article|thing|line|part|one)s?"
    r" (?:\w+ ){0,8}?(?:return|returning|send(?:ing)? back|refund(?:ed)?|exchange|go back)",
    "reason": r"reasons?|why|how come|what(?:'s| is| was| went) wrong|what happened",
    "condition": r"condition|unused|unopened|packaging|tags?|worn|original box|seal(?:ed)?",
    "replacement": r"replacements?|exchang(?:e|ed|ing)|swap(?:ped)?|refund or|in exchange",
    "question": r"(?:your|the) question|what (?:would|do|did) you (?:like|want|need|wish) to"
    r" (?:know|ask|find out|learn)|which policy",
    "project": r"projects?|occasion|working on|putting together|setting up|the purpose|planning",
    "details": r"(?:more|further|additional|any|some|other) (?:details?|information|info|specifics)"
    r"|tell me (?:a bit |a little )?more|more specific|requirements?|preferences?|specifications?"
    r"|specs|features?|must[- ]haves?|narrow (?:it|this|that|things) down|describe|specifics"
    r"|criteria|characteristics|wishes|elaborate",
    "anything_else": r"anything else|something else (?:you|i)|any(?:thing)? (?:other|further|more)"
    r"|what else|that everything|that all|that be all|be all|anything i (?:missed|forgot)"
    r"|(?:forgotten|missed|miss|forget) anything|anything (?:more|to add)|add anything"
    r"|more i should|any additional|other (?:requirements|preferences|constraints|wishes|things)",
}

PATTERNS: dict[str, str] = {
    "category": r"what(?: exactly)?(?: is it(?: that)?)? (?:are|were) (?:you|we) (?:looking|shopping|"
    r"searching|hoping) (?:for(?! in| with)|to (?:buy|get|find|purchase))|what (?:would|do) you"
    r" (?:like|want|need) to (?:buy|purchase|get|order|shop for)|what (?:item|product)s? (?:do|are|"
    r"would|did) you|what (?:sort|kind|type) of thing|what (?:can i (?:get|find)|are you after)"
    r"|what(?:'s| is) the (?:item|product)"
    r"|which (?:other |else )?(?:item|product|thing|article)s? (?:do|are|would|did|should|else|are still)\b"
    r"|what (?:other )?things (?:do|are|would)|(?:on|rest of|full|whole|entire|complete) (?:your|the)?"
    r" ?(?:shopping )?list\b",
    "brand": r"who (?:makes|made|manufactures|produces)|(?:which|what) make\b|(?:which|what) company"
    r"|a certain make",
    "store": r"where (?:would|do|should|did) (?:you|i) (?:like |want |prefer )?(?:to )?(?:buy|order|"
    r"get|purchase)|(?:who|whom) should (?:i buy|be selling|sell)|sold by",
    "price_cents": r"how much (?:are you|would you|do you want|did you|can you|were you|should it|"
    r"should i|is too much)|(?:what|most|how much)(?:'s| is| would)?(?: the most)? you(?:'d| would)?"
    r" (?:pay|spend)|(?:willing|want|able|happy|looking|prepared) to (?:pay|spend)|(?:can|could) you"
    r" (?:afford|spend)|(?:most|maximum|max|limit|cap|ceiling)\b.{0,30}\b(?:pay|spend|dollars?|amount)"
    r"|stay (?:under|below|within)|dollar (?:figure|amount|limit)|spending limit|upper limit",
    "rating": r"how (?:good|well)\b.{0,25}\b(?:review|rated|score)|do reviews matter",
    "rating_count": r"how many (?:people|customers|users|buyers|shoppers)|how popular"
    r"|(?:minimum|least)\b.{0,20}\breviews",
    "ship_days": r"how (?:soon|fast|quick(?:ly)?)|by when|when (?:do|would|should|will|must|did) (?:you|"
    r"it|they|this)(?: \w+)? (?:need|want|like|arrive|be (?:here|there))|how many days"
    r"|need (?:it|this|them|these) by|how long (?:are|can|could|would) you.{0,15}wait|how long can"
    r"|latest (?:it|date|day)|in time for",
    "size": r"what (?:is|are) (?:your|the) measurements?|does it (?:have to )?fit|what fits",
    "material": r"what(?:'s| is| should| would)?.{0,20}made (?:of|from|out)",
    "connector_type": r"how (?:does|should|will|do|would) (?:it|you|they).{0,15}connect|plug into"
    r"|wired or|or wired|compatible with|what (?:device|phone).{0,15}(?:have|use|for)",
    "item_form": r"how do you (?:take|apply|use) it",
    "finish_type": r"(?:surface|coating|look)\b.{0,15}\b(?:be|have|like)",
    "age_range": r"who(?:'s| is| will| would)?.{0,15}(?:for|us(?:e|ing) (?:it|this|them))"
    r"|(?:child|kid|recipient|little one|toddler|baby).{0,20}\bor\b|for (?:a |an )?(?:kids?|child|"
    r"children|adults?|babies|toddlers?|teens?|baby)",
    "wattage": r"how (?:strong|much power)|powerful",
    "weight_lbs": r"(?:be|too|need something|want something|prefer something) (?:light|heavy)\b"
    r"|heavy or light|light or heavy",
    "screen_size_inches": r"how (?:big|large) (?:\w+ ){0,3}(?:screen|display|tv|monitor|panel)"
    r"|size of (?:\w+ )?(?:screen|display|tv|monitor|panel)",
    "title": r"which (?:exact |specific |particular )?(?:model|product)\b|(?:exact|specific) product"
    r"|does it have a name|what name",
    "viewed": r"(?:look(?:ed|ing)?|seen|see|saw|come|came|visited|checked|had) (?:\w+ ){0,6}?(?:before|"
    r"recently|earlier|lately|already|previously|the other day|in the shop|on our site|in our|its page)"
    r"|(?:already|recently|previously|before) (?:looked|seen|viewed|visited|browsed|checked)"
    r"|have you (?:seen|visited|looked)|did you (?:see|find|come across)|where did you see"
    r"|been looking at|look(?:ed|ing) at (?:it|this|them)|in your history",
    "variant": r"which (?:one|of (?:these|those|them|the))|which (?:do|would|should|did|will) (?:you|i)"
    r"|which is (?:right|best|yours)|which of",
    "quantity": r"(?:just|only) (?:the )?one|more than one|one or (?:two|more|several|a)|is one enough"
    r"|what (?:number|amount)|(?:a )?single one|how many|several or|one enough|or several",
    "fallback": r"if (?:it|that|this|they|the|your|i|we|you)\b.{0,60}(?:sold out|out of stock|"
    r"unavailable|n't available|not available|gone|runs? out|can't (?:get|find)|cannot (?:get|find)"
    r"|no longer|sells out|aren't|isn't)|in case (?:it|that|they|the)|(?:skip|leave) (?:it|them) out"
    r"|acceptable (?:alternative|substitute)|in its place|accept (?:a|an|another)",
    "checkout": r"(?:shall|should|can|may|want|like) (?:i|me to|me) (?:\w+ ){0,3}?(?:order|buy|purchase)\b"
    r"|(?:want|like) to (?:order|buy|pay|purchase)(?: (?:it|them|this|these|that|everything|all))? (?:now|right)|ready to (?:order|buy|pay|purchase)|proceed to (?:pay|"
    r"check)|(?:leave|keep) (?:it|them|everything) in the cart|place (?:it|them) as an order",
    "discount_code": r"money off",
    "budget": r"how much money|(?:in total|overall|altogether|for everything|all together)\b"
    r"|(?:total|overall|whole|entire)\b.{0,30}\b(?:spend|cost|limit|amount|under|stay)|set aside"
    r"|how much (?:are you|would you|do you want|can you|were you).{0,20}spend|limit on the total"
    r"|what total",
    "priority": r"(?:price|cost|quality|rating|speed|shipping|brand|cheaper|faster|sooner)\b.{0,12} (?:or|"
    r"versus|vs) .{0,20}(?:price|cost|quality|rating|speed|shipping|brand|cheaper|faster|sooner)"
    r"|how (?:do|would|should) (?:you|i) rank|in what order|sort (?:by|them|the results)|matters? (?:to you )?"
    r"(?:most|more|next)|rank (?:the|these|them)|weigh up|do you care (?:more|most) about|value more",
    "order": r"when (?:did|was) (?:you|it|the).{0,12}(?:order|buy|bought|purchase|place)|(?:is it|is that|"
    r"was it|do you mean) (?:the|your) (?:\w+ )?(?:order|purchase)|which (?:one )?of (?:your|the) orders"
    r"|identify the order|what was in (?:the|your) order|order (?:are|do|did|were) you|your order\b.{0,10}"
    r"\bnumber|your order id|when you ordered",
    "order_line": r"(?:what|which)\b.{0,40}(?:return|send(?:ing)? back|refund(?:ed)?|go back|exchange\b(?! it))"
    r"|(?:which|what) (?:item|product|article|one|line)s?\b.{0,30}\border\b|item to return|which item"
    r"|(?:everything|all of it|all) or (?:just )?(?:one|some|a)|or the \w+.{0,30}(?:return|send back)",
    "reason": r"what(?:'s| is| was)? (?:the )?(?:problem|issue|matter\b)|why\b|what (?:made|issue|problem|"
    r"seems)|(?:is|was) it (?:\w+ )?(?:defective|broken|damaged|faulty)|did it not|didn't (?:you like|it)"
    r"|something wrong|change your mind|unhappy with|explain why",
    "condition": r"(?:been|already|have you|you|still) (?:\w+ )?(?:used|opened|worn|open|wear|use)\b"
    r"|(?:new|opened|used) or (?:is it |still )?(?:used|new|not|unopened|sealed|unused|opened)"
    r"|what state|the state|(?:is|was) (?:it|the \w+) (?:damaged|new|intact|open)|original packag\w+",
    "replacement": r"(?:what|which|something|anything)\b.{0,40}\binstead|replace (?:it|that|this|them) with"
    r"|(?:refund|money back) or|or (?:a |your |the )?(?:refund|money back|another)|send you (?:a )?(?:new|another)"
    r"|prefer a refund|in (?:its|their) place|another product",
    "question": r"what (?:is|was) (?:it )?you(?:'d| would)? (?:like|want) to know|your question"
    r"|(?:rephrase|repeat|clarify|restate)\b|asking about|what (?:information|info) (?:do|are)"
    r"|what (?:can|could) i (?:tell|explain|clarify)|circumstances|your situation|what (?:exactly )?did you want",
    "project": r"what(?:'s| is| are)? (?:all )?(?:of )?(?:this|these|it|they|that) (?:all )?for\b"
    r"|what (?:do|will|would) you (?:need|use|want|do) (?:\w+ ){0,4}(?:for|with)"
    r"|what are you (?:\w+ )?(?:building|making|planning|preparing|trying|getting ready|setting|doing|"
    r"organi[sz]ing)|is (?:this|it|that) for (?:a|an|your)\b",
    "details": r"(?:what|anything) (?:\w+ )?(?:are you )?looking for in|what should (?:it|they|the \w+) (?:be like|"
    r"have|look like)|anything (?:specific|particular|special)|something (?:specific|particular)"
    r"|what (?:kind|sort|type) of|which (?:one|\w+) (?:are you|did you) (?:thinking|mean|have in mind)"
    r"|exact product|tell me (?:about|what you (?:want|need|like))|more about|in more detail|help me identify"
    r"|what (?:do|would) you (?:want|like|need)(?: from| in|[?]|$)",
    "anything_else": r"something else (?:you|i)|(?:is|are) there (?:any)?(?:thing)? ?(?:more|other|else)",
}

VALUES: dict[str, str] = {
    "color": r"black|white|red|blue|green|gr[ae]y|navy|pink|purple|yellow|orange|brown|beige|silver"
    r"|teal|turquoise|ivory|charcoal|burgundy|olive|lavender|coral|mint|tan|maroon",
    "size": r"small|medium|large|x-?large|xl|xxl|xs|extra large|twin|queen|king|full size",
    "material": r"cotton|linen|wool|silk|polyester|leather|steel|stainless|iron|alumini?um|wood|wooden"
    r"|bamboo|plastic|ceramic|metal|nylon|denim|rubber|silicone|suede|oak|pine|marble|fleece|glass|velvet|microfiber|stoneware|porcelain|rattan|acrylic",
    "connector_type": r"usb-?c|usb-?a|usb|lightning|bluetooth|hdmi|micro-?usb|displayport|wireless"
    r"|magsafe|thunderbolt|ethernet|3\.5 ?mm",
    "item_form": r"gel|cream|powder|liquid|capsules?|tablets?|spray|lotions?|oils?|bar|stick|foam"
    r"|gumm(?:y|ies)|balm|serum|granules|pods?|wipes?",
    "skin_type": r"oily|dry skin|sensitive skin|combination skin|normal skin",
    "finish_type": r"matte|glossy|gloss|satin|brushed|polished|semi-gloss|metallic finish",
    "age_range": r"toddlers?|babies|baby|infants?|teens?|teenagers?|adults?|kids?|children|child",
    "wattage": r"[0-9]+ ?w(?:atts?)?",
    "screen_size_inches": r"[0-9.]+[- ]?inch(?:es)?",
}

# What the shop's rules look at (see policy_rules.toml) and only the customer can tell.
FACTS: dict[str, str] = {
    "payment": r"payment methods?|(?:did|do|have|are) you pa(?:y|id)(?:ing)?\b(?! for)|paid (?:by|with|using)"
    r"|gift cards?|store credit|installments?|means of payment|forms? of payment",
    "speed": r"shipping (?:speed|method|option|service)s?|express|next[- ]day|standard (?:shipping|delivery)",
    "channel": r"marketplace|in (?:the|a|one of our|our) (?:physical )?stores?|bought (?:it )?online",
    "gift": r"gifts?(?! (?:card|code|wrap))|given to you|a present",
    "receipt": r"receipts?|proofs? of purchase",
    "placed": r"when (?:did|was) (?:you|it|the)\b.{0,20}(?:order|place|buy|bought|purchase)\w*|weekends?"
    r"|(?:what|which) (?:day|date|month)|november|december|holiday season",
    "clearance": r"clearance|on sale|marked down",
    "refurbished": r"refurbished|renewed|brand[- ]new",
    "personalized": r"personali[sz](?:ed|ation)|engrav(?:ed|ing)|custom(?:i[sz]ed|[- ]made)|monogram\w*",
    "oversized": r"over-?sized?|bulky",
    "battery": r"batter(?:y|ies)|lithium",
    "repeat": r"(?:repeat|recurring|regular) deliver(?:y|ies)|subscriptions?|auto-?ship",
    "app": r"(?:in|through|via|with|using|on) (?:the|our) (?:mobile )?app|mobile app",
    "business": r"business(?:es)?|company account",
    "student": r"students?",
    "first_order": r"first (?:order|purchase|time)|new customer|ordered (?:here|with us|from us) before",
    "set": r"(?:part of )?a set\b|bundles?",
    "po_box": r"p\.? ?o\.? ?box(?:es)?|post office box",
    "phone": r"(?:by|on the|over the) (?:tele)?phone|call(?:ing)? us",
    "years": r"how long have you (?:been|shopped|had)|how old is your account|years (?:as|with us|have you)"
    r"|customer for",
    "days_late": r"how (?:many days )?late|days late|overdue|how long (?:has|have|is) (?:it|the \w+|you).{0,20}"
    r"(?:late|wait\w*|delayed)",
    "miles": r"how far|miles|distance|nearest depot",
}
MENTIONS.update(FACTS)
