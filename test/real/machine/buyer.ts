/**
 * Buys machines from a bed, says so and waits to be killed: the control plane that dies while its
 * machines are on their way. Arguments: the bed's state folder, how many.
 */
import { openMachineBed } from "../../fixture/machine/bed.ts";
import { BED_FLEET } from "./bed.ts";

const [stateDir = "", count = "1"] = process.argv.slice(2);
const opened = openMachineBed({
  name: "machine",
  stateDir,
  settings: {},
  clock: { wallMs: () => Date.now(), after: (ms, work) => void setTimeout(work, ms) },
  random: () => Math.random(),
  fleetId: BED_FLEET,
  problem: (message) => console.error(`machines: ${message}`),
});
if (opened.kind === "unavailable") throw new Error(opened.why);
const why = await opened.bed.prepared;
if (why !== null) throw new Error(why);
for (let n = 1; n <= Number(count); n += 1) {
  const nodeId = `m${n}`;
  const tags = { "navarch-fleet": BED_FLEET, "navarch-node": nodeId };
  const paid = { market: "on-demand", reservation: null } as const;
  const place = { region: null, zone: null, instanceType: "machine", ...paid };
  const request = { token: nodeId, name: nodeId, nodeId, ...place, tags, sshKeys: [] };
  const fence = { nodeId, fence: 1, sessionId: null };
  const answer = await opened.bed.provider.create(request, fence, null);
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
}
console.log("bought");
await new Promise(() => setInterval(() => undefined, 1_000));
