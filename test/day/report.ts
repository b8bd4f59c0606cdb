/**
 * The report of a day: Markdown with the figures, and one SVG with what was asked, wanted and had,
 * money, calls and 429s over the hours, the weather behind it. Self-contained. Pure.
 */
import type { Figures } from "../once/record.ts";
import type { Day, PoolName, Sample } from "./day.ts";
import { DAY_HOURS, WEATHER } from "./demand.ts";

const WIDTH = 960;
const LEFT = 56;
const RIGHT = 16;
const PANEL = 150;
const GAP = 48;
const TOP = 36;

/** One line of a panel. */
type Line = { name: string; color: string; dash?: string; of(sample: Sample): number };
type Panel = { title: string; clouds: readonly ("lambda" | "gcp")[]; lines: readonly Line[] };

const INK = "#24292f";
const COLOR = { asked: "#9a6700", desired: "#0969da", serving: "#1a7f37", live: "#8250df" };

const poolPanel = (pool: PoolName, cloud: "lambda" | "gcp", type: string): Panel => ({
  title: `${pool}: machines (${type} at ${cloud})`,
  clouds: [cloud],
  lines: [
    { name: "asked", color: COLOR.asked, dash: "2 3", of: ({ pools }) => pools[pool].asked },
    { name: "wanted", color: COLOR.desired, dash: "6 3", of: ({ pools }) => pools[pool].desired },
    { name: "billed", color: COLOR.live, of: ({ pools }) => pools[pool].live },
    { name: "in service", color: COLOR.serving, of: ({ pools }) => pools[pool].serving },
  ],
});

const PANELS: readonly Panel[] = [
  poolPanel("training", "lambda", "gpu_8x_h100_sxm5"),
  poolPanel("inference", "gcp", "a2-highgpu-1g"),
  {
    title: "money: US dollars at lambda since the start",
    clouds: [],
    lines: [{ name: "dollars", color: COLOR.desired, of: ({ dollars }) => dollars }],
  },
  {
    title: "calls to the clouds since the start",
    clouds: [],
    lines: [
      { name: "lambda", color: COLOR.desired, of: ({ calls }) => calls.lambda },
      { name: "gcp", color: COLOR.serving, of: ({ calls }) => calls.gcp },
    ],
  },
  {
    title: "answers with status 429 since the start",
    clouds: ["lambda", "gcp"],
    lines: [
      { name: "lambda", color: COLOR.desired, of: ({ refused }) => refused.lambda },
      { name: "gcp", color: COLOR.serving, of: ({ refused }) => refused.gcp },
    ],
  },
];

const x = (hour: number): number => LEFT + (hour / DAY_HOURS) * (WIDTH - LEFT - RIGHT);

export function formatChart(day: Day): string {
  const height = TOP + PANELS.length * (PANEL + GAP);
  const panels = PANELS.map((panel, i) => formatPanel(panel, day.samples, TOP + i * (PANEL + GAP)));
  const size = `viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`;
  const font = `font-family="sans-serif" font-size="12" fill="${INK}"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`;
  const back = `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`;
  return `${head}\n${back}\n${panels.join("\n")}\n</svg>\n`;
}

function formatPanel({ title, clouds, lines }: Panel, samples: Sample[], top: number): string {
  const max = niceMax(Math.max(1, ...lines.flatMap((line) => samples.map((one) => line.of(one)))));
  const y = (value: number): number => top + PANEL - (value / max) * PANEL;
  const out: string[] = [];
  for (const { cloud, kind, from, to } of WEATHER) {
    if (!clouds.includes(cloud)) continue;
    const [left, width] = [x(from), x(to) - x(from)];
    out.push(`<rect x="${left}" y="${top}" width="${width}" height="${PANEL}" fill="#ffebe9"/>`);
    const label = clouds.length > 1 ? `${cloud} ${kind}` : kind;
    const turn = `rotate(90 ${left + 4} ${top + 4})`;
    const at = `x="${left + 4}" y="${top + 4}" transform="${turn}"`;
    out.push(`<text ${at} font-size="9" fill="#a40e26">${label}</text>`);
  }
  for (const share of [0, 0.5, 1]) {
    const at = y(max * share);
    const line = `x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"`;
    out.push(`<line ${line} stroke="#d0d7de"/>`);
    out.push(text(LEFT - 6, at + 4, shown(max * share), "end"));
  }
  for (let hour = 0; hour <= DAY_HOURS; hour += 3) {
    out.push(text(x(hour), top + PANEL + 14, `${hour} h`, "middle"));
  }
  lines.forEach(({ name, color, dash, of }, i) => {
    const points = turnsOf(samples, of).map(
      (one) => `${x(one.hour).toFixed(1)},${y(of(one)).toFixed(1)}`,
    );
    const dashes = dash === undefined ? "" : ` stroke-dasharray="${dash}"`;
    const path = `points="${points.join(" ")}" fill="none" stroke="${color}" stroke-width="1.5"`;
    out.push(`<polyline ${path}${dashes}/>`);
    const at = WIDTH - RIGHT - (lines.length - i) * 90;
    const key = `x1="${at}" x2="${at + 20}" y1="${top - 10}" y2="${top - 10}"`;
    out.push(`<line ${key} stroke="${color}" stroke-width="2"${dashes}/>`);
    out.push(text(at + 24, top - 6, name, "start"));
  });
  out.push(text(LEFT, top - 6, title, "start", ' font-weight="bold"'));
  return out.join("\n");
}

/** Without the samples inside a level stretch, and one in five of a slope. */
function turnsOf(samples: readonly Sample[], of: (sample: Sample) => number): Sample[] {
  const last = samples.length - 1;
  return samples.filter((sample, i) => {
    const [before, after] = [samples[i - 1], samples[i + 1]];
    if (before === undefined || after === undefined || i === last) return true;
    const [was, is, will] = [of(before), of(sample), of(after)];
    if (was === is && is === will) return false;
    return was === is || is === will || i % 5 === 0;
  });
}

function text(at: number, y: number, words: string, anchor: string, more = ""): string {
  const place = `x="${at.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"`;
  return `<text ${place}${more}>${words}</text>`;
}

/** A round number at or above the value. */
function niceMax(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * unit).find((step) => step >= value) ?? value;
}

const shown = (value: number): string =>
  value >= 1_000 ? `${value / 1_000}k` : String(Math.round(value * 10) / 10);

export function formatReport(day: Day): string {
  const { dollars, unknownHours, calls, shortMinutes, samples, broken } = day;
  const peak = (pool: PoolName, what: "asked" | "desired" | "serving" | "live") =>
    Math.max(0, ...samples.map(({ pools }) => pools[pool][what]));
  const share = (pool: PoolName) => {
    const minutes = samples.filter(({ pools }) => pools[pool].serving >= pools[pool].asked).length;
    return `${Math.round((100 * minutes) / Math.max(1, samples.length))} %`;
  };
  const poolRow = (pool: PoolName) =>
    rowOf(
      pool,
      peak(pool, "asked"),
      peak(pool, "desired"),
      peak(pool, "serving"),
      share(pool),
      `${shortMinutes[pool]} min`,
    );
  const cloudRow = (name: "lambda" | "gcp") => {
    const { calls: all, rateLimited, failed } = calls[name];
    return rowOf(name, all, rateLimited, failed);
  };
  const two = (value: number): string => value.toFixed(2);
  const verdict = "No orphan, no machine bought twice, no overshoot, no wedge.";
  return [
    "# A day of demand",
    "",
    `${INTRODUCTION} ${day.hours} hours of virtual time.`,
    "",
    "![asked, wanted and had, money, calls and 429s](day.svg)",
    "",
    broken.length === 0 ? verdict : `**Broken:** ${broken.join("; ")}`,
    "",
    rowOf("pool", "asked at most", "wanted", "in service", "time with all asked", "longest short"),
    "|---|---|---|---|---|---|",
    poolRow("training"),
    poolRow("inference"),
    "",
    NOTE,
    "",
    rowOf("money", "counted by the product", "really billed"),
    "|---|---|---|",
    rowOf("lambda, US dollars", two(dollars.counted), two(dollars.real)),
    rowOf("gcp, instance-hours", two(unknownHours.counted), two(unknownHours.real)),
    "",
    "Compute Engine's API lists no prices: its cost is instance-hours of unknown price.",
    "",
    rowOf("cloud", "calls", "answered 429", "answered 5xx"),
    "|---|---|---|---|",
    cloudRow("lambda"),
    cloudRow("gcp"),
    "",
    `${day.purchases} machines were bought, and ${day.replaced} replaced after an XID 79.`,
    "",
    rowOf("cloud", "trouble", "hours"),
    "|---|---|---|",
    ...WEATHER.map(({ cloud, kind, from, to }) =>
      rowOf(cloud, kind, `${clockOf(from)} to ${clockOf(to)}`),
    ),
    "",
  ].join("\n");
}

const INTRODUCTION = [
  "The guide's complete example (`deploy/guide/navarch/navarch-config.yaml`) from an empty cloud:",
  "the product's own loop and both adapters over HTTP, against the stand-ins of Lambda and Compute",
  "Engine behind a proxy that makes the weather. Made by `npm run once -- day`, judged by what the",
  "clouds really have, in",
].join("\n");

const NOTE = [
  "Asked is what the demand would fill: jobs by eight GPUs, or load at 60 % utilisation. Wanted is",
  "the pool's size as its autoscaler set it. The longest short is the longest time with less in",
  "service than wanted in fair weather, which begins half an hour after a trouble ends.",
].join("\n");

function rowOf(...cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

function clockOf(hour: number): string {
  const minutes = String(Math.round((hour % 1) * 60)).padStart(2, "0");
  return `${String(Math.floor(hour)).padStart(2, "0")}:${minutes}`;
}

export function figuresOf(day: Day): Figures {
  return {
    hours: day.hours,
    purchases: day.purchases,
    replaced: day.replaced,
    dollarsCounted: Math.round(day.dollars.counted * 100) / 100,
    dollarsReal: Math.round(day.dollars.real * 100) / 100,
    lambdaCalls: day.calls.lambda.calls,
    lambda429: day.calls.lambda.rateLimited,
    gcpCalls: day.calls.gcp.calls,
    gcp429: day.calls.gcp.rateLimited,
    shortMinutes: day.shortMinutes,
    broken: day.broken.length,
  };
}
