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

const boots = ground.boots();
const before = ground.agents();
if (before !== null) process.kill(before.pid, "SIGKILL");
const killedMs = performance.now();
await until("other agents run", 120_000, () => {
  const now = ground.agents();
  return now !== null && now.pid !== before?.pid && now.agents >= nodes ? true : null;
});
const againS = (performance.now() - killedMs) / 1_000;
const serving = (await ground.plane.serving()).length;
// Each has reported again by now.
await Bun.sleep(35_000);
const after = ground.boots();
const rebooted = [...boots].filter(([node, boot]) => after.get(node) !== boot).length;
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
const isSound = serving === nodes && boots.size >= nodes && rebooted === 0 && left.length === 0;
process.exit(isInTime && isSmall && isSound ? 0 : 1);
