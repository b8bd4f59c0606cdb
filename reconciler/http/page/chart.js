// Draws what `data-chart` has, with uPlot, whose code stands before this. A table beside each chart
// says the same in text.
{
  const CHART_HEIGHT = 200;
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const bar = () => ({
    stroke: token("--busy"),
    fill: token("--busy-soft"),
    paths: uPlot.paths.bars({ size: [0.7, 60] }),
    points: { show: false },
  });

  // Told apart without colour too.
  const COLOURS = ["--busy", "--warn", "--ok", "--bad"];
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const line = ({ name }, at) => ({
    label: name,
    stroke: token(COLOURS[at % 4]),
    dash: DASHES[(at + Math.floor(at / 4)) % 4],
    width: 2,
    paths: uPlot.paths.stepped({ align: 1 }),
    points: { show: false },
  });

  // Half a day around bars of a day; a minute at least for lines.
  const rangeOf = (kind, x) => {
    const [first, last] = [x[0], x[x.length - 1]];
    if (kind === "bars") return [first - 43200, last + 43200];
    return [Math.min(first, last - 60), last];
  };

  const withUnit = (value, unit) => (unit === "%" ? `${value} %` : `${unit}${value}`);

  const draw = (box) => {
    if (box.dataset.drawn === box.dataset.chart) return;
    const { kind, x, unit, series } = JSON.parse(box.dataset.chart);
    box.dataset.drawn = box.dataset.chart;
    box.replaceChildren();
    if (x.length === 0) return;
    const axis = { stroke: token("--soft"), grid: { stroke: token("--line"), width: 1 } };
    const options = {
      width: box.clientWidth,
      height: CHART_HEIGHT,
      legend: { show: kind === "lines", live: false },
      cursor: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: {
        x: { range: () => rangeOf(kind, x) },
        y: { range: (_, __, high) => [0, high > 0 ? high * 1.1 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false } },
        { ...axis, size: 70, values: (_, all) => all.map((one) => withUnit(one, unit)) },
      ],
      series: [{ label: "Time" }, ...series.map(kind === "bars" ? bar : line)],
    };
    box.plot = new uPlot(options, [x, ...series.map(({ values }) => values)], box);
  };

  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);

  const drawAgain = () => {
    for (const box of document.querySelectorAll("[data-chart]")) delete box.dataset.drawn;
    drawAll();
  };

  drawAll();
  // Blocks are replaced as the fleet changes.
  new MutationObserver(drawAll).observe(document.getElementById("blocks"), {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["data-chart"],
  });
  addEventListener("resize", drawAgain);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
}
