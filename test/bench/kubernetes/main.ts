/**
 * `bun run test/bench/kubernetes/main.ts m2|m3|m4|m8 [--tiny] [--runs N] [--nodes N] [--speed X]
 * [--xid N]`: measures one Kubernetes target with the compiled binary and a real API server. Exit
 * status 0 only if the ship values are reached and nothing failed.
 */
import { parseArgs } from "node:util";
import { buildStale } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../../real/kubernetes/binary.ts";
import { KUBERNETES_BENCHES } from "./list.ts";
import { holds, keptOf, formatOutcome } from "./outcome.ts";

function positive(name: string, text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} ${text}: expected a number above 0`);
}

const string = { type: "string" } as const;
const { values, positionals } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    runs: string,
    nodes: string,
    speed: string,
    xid: string,
    figures: string,
  },
  allowPositionals: true,
});
const [name = ""] = positionals;
const bench = KUBERNETES_BENCHES.get(name);
if (bench === undefined) {
  throw new Error(`no bench ${name}: expected ${[...KUBERNETES_BENCHES.keys()].join(", ")}`);
}
const missing = await whyNoCluster();
if (missing !== null) throw new Error(missing);
const { tiny } = values;
const say = (line: string): void => console.error(line);
await buildStale((product) => say(`building ${product}`));
// Handlers of the process's exit close everything that is open.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
const outcome = await bench.run({
  tiny,
  runs: Math.ceil(positive("runs", values.runs, tiny ? 1 : bench.runs)),
  nodes: values.nodes === undefined ? null : Math.ceil(positive("nodes", values.nodes, 1)),
  speed: positive("speed", values.speed, tiny ? 10 : 1),
  xid: positive("xid", values.xid, bench.xid),
  say,
});
console.log(formatOutcome(outcome, tiny));
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(keptOf(outcome)));
process.exit(holds(outcome, tiny) ? 0 : 1);
