/**
 * `bun run test/day/main.ts [--hours N] [--out FOLDER] [--figures FILE]`: the day of demand, its
 * report with a chart, and status 1 if anything that it promises does not hold.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "../../build/product.ts";
import { DAY_HOURS } from "./demand.ts";
import { liveDay } from "./day.ts";
import { figuresOf, formatChart, formatReport } from "./report.ts";

const { values } = parseArgs({
  options: {
    hours: { type: "string", default: String(DAY_HOURS) },
    out: { type: "string", default: join(ROOT, "test", "record") },
    figures: { type: "string" },
  },
});

const day = await liveDay(Number(values.hours), (hour) => console.log(`hour ${hour}`));
const { out, figures } = values;
mkdirSync(out, { recursive: true });
const pages = { svg: formatChart(day), md: formatReport(day) };
for (const [type, page] of Object.entries(pages)) await Bun.write(join(out, `day.${type}`), page);
if (figures !== undefined) await Bun.write(figures, JSON.stringify(figuresOf(day)));
for (const broken of day.broken) console.error(broken);
process.exit(day.broken.length === 0 ? 0 : 1);
