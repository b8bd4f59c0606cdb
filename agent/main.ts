/**
 * The entry of `navarch-node`, which is two programs: the agent, and the probe child that it starts
 * from the same executable. Each is loaded only where it runs, because the child's memory counts
 * with the agent's and it needs a tenth of its modules.
 */

import { PROBE_COMMAND } from "./nvml/message.ts";

if (process.argv[2] === PROBE_COMMAND) {
  const { runProbeChild } = await import("./nvml/child.ts");
  runProbeChild(process.argv.slice(3));
} else {
  const { main } = await import("./service/main.ts");
  await main(process.argv.slice(2));
}
