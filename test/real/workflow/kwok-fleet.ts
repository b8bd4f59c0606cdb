/**
 * Proof: 2,000 virtual nodes are bought on a real API server within 60 s and serve within 120 s,
 * each with its simulated agent, with a control plane of at most 512 MiB; and all of them serve
 * again after the process of their agents was killed.
 *
 *     npm run once -- kwok-fleet
 */
import { parseArgs } from "node:util";
import type { Figures } from "../../once/record.ts";
import { until } from "../../fixture/plane/plane.ts";
import { KwokGround, rise } from "./kwok-ground.ts";

const { values } = parseArgs({
  options: { figures: { type: "string" }, nodes: { type: "string", default: "2000" } },
});
const nodes = Number(values.nodes);
const LIMIT = { createdS: 60, servingS: 120, planeMib: 512 };

const ground = await KwokGround.open(nodes);
const found = await rise(ground, nodes, 400_000);
console.log(JSON.stringify(found));

/** Boots that the control plane saw. */
const boots = async (): Promise<number> => (await ground.plane.events("&kind=node.rebooted")).length;
const before = ground.agents();
if (before !== null) process.kill(before.pid, "SIGKILL");
const killedMs = performance.now();
await until("other agents run", 120_000, () => {
  const now = ground.agents();
  return now !== null && now.pid !== before?.pid && now.agents >= nodes ? true : null;
});
const againS = (performance.now() - killedMs) / 1_000;
const serving = (await ground.plane.serving()).length;
const rebooted = await boots();
const left = await ground.close();
if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);

const figures: Figures = {
  nodes,
  "created, s": found.createdS,
  "serving, s": found.servingS,
  "control plane, RSS max MiB": found.planeMibMax,
  "process of the agents, RSS max MiB": found.agentsMibMax,
  "agents killed and running again, s": againS,
  "serving after that": serving,
  "reboots seen": rebooted,
};
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures, null, 2));
const isInTime = found.createdS <= LIMIT.createdS && found.servingS <= LIMIT.servingS;
const isSmall = found.planeMibMax <= LIMIT.planeMib;
const isSound = serving === nodes && rebooted === 0 && left.length === 0;
process.exit(isInTime && isSmall && isSound ? 0 : 1);
