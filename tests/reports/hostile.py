"""Texts that somebody who may start a container could plant, and reports made of them."""

from hypothesis import strategies as st

ACTIVE = (
    "<script>alert(1)</script>",
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</title></style><svg><animate onbegin=alert(1)>",
    "{{ 7*7 }}{% for x in range(9) %}{# c #}",
    "{{ ''.__class__.__mro__ }}",
    "\x1b[31mred\x1b[0m\x1b[2J\x1b[1A",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]0;title\x07",
    "\x9b31m\x9d0;t\x9c\x90q\x9c",
    "\x1b",
    "\u202egnp.exe\u2066\u200f",
    "\u200b\u200d\ufeff\u00ad\u2060",
    "\x00\x01\x08\x7f",
    "\r\nverdict: ok\n",
    "\u2028\u2029\x85\x0b\x0c",
    "[red]x[/red][link=https://evil.example]y[/link]",
    "Z" + "\u0301" * 60,
    "\ud800\udc41",
    "漢字" * 40,
    "a" * 300,
    "&amp;&lt;\"'`=",
    "-->]]><!--",
    "--> nft table inet x",
    "|  ` ~~~ ***",
    "\t\t",
    "",
)

texts = st.lists(
    st.one_of(st.sampled_from(ACTIVE), st.text(max_size=12)),
    min_size=1,
    max_size=4,
).map("".join)
