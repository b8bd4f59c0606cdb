import { expect, test } from "bun:test";
import { Gauge, Histogram, Registry } from "prom-client";
import { readMetricPage } from "./metric-page.ts";

test("W55: a page that prom-client writes is read back, whatever its labels hold", async () => {
  const registry = new Registry();
  const odd = 'a "quoted" back\\slash, {brace} = \n line';
  const gauge = new Gauge({
    name: "g",
    help: "h\\elp",
    labelNames: ["k", "l"],
    registers: [registry],
  });
  gauge.set({ k: odd, l: "" }, -1.5e-7);
  gauge.set({ k: "inf" }, Infinity);
  gauge.set({ k: "nan" }, Number.NaN);
  const histogram = new Histogram({ name: "h", help: "h", buckets: [1], registers: [registry] });
  histogram.observe(0.5);
  const samples = readMetricPage(await registry.metrics());
  expect(samples).toContainEqual({ name: "g", labels: { k: odd, l: "" }, value: -1.5e-7 });
  expect(samples).toContainEqual({ name: "g", labels: { k: "inf" }, value: Infinity });
  expect(samples.find(({ labels }) => labels["k"] === "nan")?.value).toBeNaN();
  expect(samples).toContainEqual({ name: "h_bucket", labels: { le: "+Inf" }, value: 1 });
  expect(samples).toContainEqual({ name: "h_sum", labels: {}, value: 0.5 });
});

test("W55: spaces, time stamps and comments are allowed; what is no sample is left out", () => {
  const page = [
    "# TYPE a counter",
    "a 1",
    'b{ x = "1" , y="2", } 2 1395066363000',
    "c{} +Inf",
    'd{x="1" 3',
    "e{x=1} 4",
    "f one",
    "g 1 2 3",
    "h 0x10",
    'cut{x="',
  ].join("\r\n");
  expect(readMetricPage(page)).toEqual([
    { name: "a", labels: {}, value: 1 },
    { name: "b", labels: { x: "1", y: "2" }, value: 2 },
    { name: "c", labels: {}, value: Infinity },
  ]);
});
