/**
 * The entry of `navarch-node`, which is three programs: the agent, the probe child that it starts
 * from the same executable, and Slurm's health check. Each is loaded only where it runs, because
 * the child's memory counts with the agent's, and the health check answers within a second.
 */
import { basename } from "node:path";

import { PROBE_COMMAND } from "./nvml/message.ts";

/** First argument, or name of a link to this program: Slurm calls a bare path. */
const HEALTHCHECK = "slurm-healthcheck";
const isLink = basename(process.argv0) === HEALTHCHECK;

if (process.argv[2] === PROBE_COMMAND) {
  const { runProbeChild } = await import("./nvml/child.ts");
  runProbeChild(process.argv.slice(3));
} else if (isLink || process.argv[2] === HEALTHCHECK) {
  const { runHealthcheck } = await import("./slurm/main.ts");
  await runHealthcheck(process.argv.slice(isLink ? 2 : 3));
} else {
  const { main } = await import("./service/main.ts");
  await main(process.argv.slice(2));
}
