// Draws what `data-chart` has, with uPlot, whose code stands before this. A table beside each chart
// says the same in text.
"use strict";
(() => {
  const HEIGHT = 200;
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function draw(box) {
    if (box.dataset.drawn === box.dataset.chart) return;
    const { x, y, unit } = JSON.parse(box.dataset.chart);
    box.dataset.drawn = box.dataset.chart;
    box.replaceChildren();
    if (x.length === 0) return;
    const axis = { stroke: token("--soft"), grid: { stroke: token("--line"), width: 1 } };
    const options = {
      width: box.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: {
        x: { range: () => [x[0] - 43200, x[x.length - 1] + 43200] },
        y: { range: (_, __, high) => [0, high > 0 ? high * 1.1 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false } },
        { ...axis, size: 70, values: (_, all) => all.map((one) => `${unit}${one}`) },
      ],
      series: [
        {},
        {
          stroke: token("--busy"),
          fill: token("--busy-soft"),
          paths: uPlot.paths.bars({ size: [0.7, 60] }),
          points: { show: false },
        },
      ],
    };
    box.plot = new uPlot(options, [x, y], box);
  }

  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);

  function again() {
    for (const box of document.querySelectorAll("[data-chart]")) delete box.dataset.drawn;
    drawAll();
  }

  drawAll();
  // Blocks are replaced as the fleet changes.
  new MutationObserver(drawAll).observe(document.getElementById("blocks"), {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["data-chart"],
  });
  addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
})();
