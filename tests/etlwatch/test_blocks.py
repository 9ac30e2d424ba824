"""Charts of eighth blocks, held against the pictures' own grids."""

import math

from hypothesis import given
from hypothesis import strategies as st

from etlwatch.text.blocks import Layer, areas, spark
from etlwatch.text.display import ASCII, UNICODE
from etlwatch.text.spans import plain_text

LEVELS = UNICODE.blocks


def lines(rows):
    return [plain_text(row) for row in rows]


def roles(row):
    """Expand a row to one role a character."""
    return [role for text, role in row for _ in text]


# home160.txt, the throughput chart: 45 columns, 600 at the top.
THROUGHPUT = [
    "       ▂▂   ▃▄                               ",
    "·▂·▄▅▄▁··▃·▆··▆▇·▁····▃·▂··▂·▁·▂·············",
    "▇█▄█████████████▆███▇▆███▆▇█▇█▆██▆        ▂▁ ",
    "██████████████████████████████████▂▃▄▇▆▅▃▅██▁",
    "█████████████████████████████████████████████",
    "█████████████████████████████████████████████",
]
# home160.txt and home160_ansi.txt, latency: nested p99, p95, p50, 41 columns, 4 s at the top.
LATENCY = [
    "                                         ",
    "                         ▃    ▁▄▄▆▄▃▃    ",
    "                         █▆█▇████▂▂▁██▆▇▇",
    "                  ▁      ▆▃▆▅▅▆██████▆▅▅▃",
    "▆▇▅▆▇▇▇▆▆▇▅▇▆▆▁▆▇▁▂▇▆▁▆▅▄████████████████",
    "▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▃▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂",
]
LATENCY_PATTERNS = [
    "                                         ",
    "                         ▃    ▁░░░░▃▃    ",
    "                         ░░░░░░░░░░░░░░░░",
    "                  ▁      ▒░▒▒▒▒▒▒▒▒▒▒▒▒▒░",
    "░░░░░░░░░░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒",
    "▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒",
]


def heights(grid):
    """Read column heights in eighths back from a drawn single-layer chart; a dot may hide an empty or a full cell."""
    out = []
    for column in range(len(grid[0])):
        cells = [line[column] for line in reversed(grid)]
        top = max(index for index, cell in enumerate(cells) if cell not in " ·")
        out.append(top * 8 + LEVELS.index(cells[top]))
    return out


def latency_layers():
    """Return p99, p95 and p50 in eighths that give the drawn latency chart."""
    p50 = [3 if column == 17 else 2 for column in range(41)]
    p95 = [4 if column in (2, 12) else 8 for column in range(41)]
    for column, level in {14: 1, 17: 1, 18: 2, 21: 1}.items():
        p95[column] = 8 + level
    p99 = [0] * 41
    for column in range(25):
        drawn = LEVELS.index(LATENCY[4][column])
        p99[column] = 8 + (drawn if drawn >= 4 else 7)
    p99[18] = 17
    for column in range(25, 41):
        p95[column] = 16 + LEVELS.index(LATENCY[3][column])
        above, top = LATENCY[2][column], LATENCY[1][column]
        if above in "▁▂":
            p95[column] = 24 + LEVELS.index(above)
        p99[column] = 32 + LEVELS.index(top) if top != " " else 24 + LEVELS.index(above)
    return [
        Layer(values=p99, role="chart-p99"),
        Layer(values=p95, role="chart-p95"),
        Layer(values=p50, role="chart-p50"),
    ]


def test_throughput_is_drawn_as_in_the_picture():
    columns = heights(THROUGHPUT)
    rows = areas([Layer(values=columns, role="chart-p99")], top=48, rows=6, usual=48 * 415 / 600)
    assert lines(rows) == THROUGHPUT


def test_the_usual_level_is_dots_on_the_ground_they_lie_on():
    rows = areas([Layer(values=[48, 2, 36], role="chart-p99")], top=48, rows=6, usual=34)
    assert rows[1] == (("·", "dim on chart-p99"), ("·", "dim"), ("▄", "chart-p99"))


def test_latency_is_nested_as_in_the_picture():
    rows = areas(latency_layers(), top=48, rows=6)
    assert lines(rows) == LATENCY
    bottom = roles(rows[5])
    assert bottom[0] == "chart-p50 on chart-p95"
    assert bottom[2] == "chart-p50 on chart-p99"


def test_latency_without_shades_is_told_apart_by_pattern():
    assert lines(areas(latency_layers(), top=48, rows=6, shades=False)) == LATENCY_PATTERNS


def test_patterns_have_ascii_stand_ins():
    drawn = "".join(lines(areas(latency_layers(), top=48, rows=6, glyphs=ASCII)))
    assert drawn.isascii()
    assert {":", "%"} < set(drawn)


def test_crosses_stand_above_their_column():
    layer = Layer(values=[0, 1, 8, 13, 16], role="chart-p99", over={3})
    rows = areas([layer], top=16, rows=2, crosses={0, 1, 2, 3, 4})
    assert lines(rows) == [" ××××", "×▁███"]
    assert roles(rows[0])[3:] == ["red on amber-fill", "red on chart-p99"]
    assert roles(rows[1])[3] == "amber-fill"


def test_a_bucket_that_is_unknown_stays_empty():
    layer = Layer(values=[None, math.nan, 0, 1e-9, 8], role="chart-p99")
    assert lines(areas([layer], top=8, rows=1)) == ["   ▁█"]


def test_a_median_as_high_as_the_p95_leaves_it_the_last_cell():
    layers = [
        Layer(values=[value], role=role) for value, role in ((8, "chart-p99"), (6, "chart-p95"), (6, "chart-p50"))
    ]
    assert [roles(row) for row in areas(layers, top=8, rows=2)] == [["chart-p95 on chart-p99"], ["chart-p50"]]
    patterns = [plain_text(row) for row in areas(layers, top=8, rows=2, shades=False)]
    assert patterns == [UNICODE.patterns[1], UNICODE.patterns[2]]


def test_an_inner_area_never_sticks_out():
    layers = [Layer(values=[2], role="chart-p99"), Layer(values=[5], role="chart-p95")]
    assert areas(layers, top=8, rows=1) == ((("▅", "chart-p95"),),)


# home80.txt and home80_ascii.txt.
SPARK = "▅▅▄▅▅▅▅▆▆▄▅▅▇▆▅▅▅▅▅▅▄▄▅▅▅▅▄▄▅▅▅▅▄▄▃▃▃▃▃▃▃▃▃▄▄▂"
SPARK_ASCII = "++=++++**=++#*++++++==++++==++++==---------==."


def test_sparks_are_drawn_as_in_the_picture():
    values = [LEVELS.index(block) for block in SPARK]
    assert spark(values, top=8, over=set(range(34, 46))) == ((SPARK[:34], "chart-p95"), (SPARK[34:], "amber-fill"))
    assert plain_text(spark(values, top=8, glyphs=ASCII)) == SPARK_ASCII


def test_sparks_are_capped_below_full_and_zero_shows():
    assert plain_text(spark([0, 4, 8, 100, None], top=8)) == "▁▄▇▇ "
    assert plain_text(spark([1, 2], top=0)) == "▁▁"


def test_a_strip_of_runs_has_half_height_at_the_p95():
    drawn = spark([0.89, 0.7, 1.3, 0.9, 0.2], top=2.0, over={2}, marks={3: ("×", "red"), 4: ("▲", "amber")})
    assert plain_text(drawn) == "▃▂▅×▲"
    assert ("▅", "amber-fill") in drawn


values = st.lists(st.one_of(st.none(), st.floats()), max_size=12)


@given(st.lists(values, max_size=3), st.floats(allow_nan=False), st.integers(1, 6), st.booleans())
def test_every_row_is_as_wide_as_the_longest_layer(series, top, rows, shades):
    layers = [
        Layer(values=one, role=role) for one, role in zip(series, ("chart-p99", "chart-p95", "chart-p50"), strict=False)
    ]
    drawn = areas(layers, top=top, rows=rows, usual=3, crosses={0, 5}, shades=shades)
    assert [len(line) for line in lines(drawn)] == [max((len(one) for one in series), default=0)] * rows
