/** A control plane that starts in the middle of a drain, and what the Node says of it then. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { clusterOf, joined, nameOf, neverLeaving } from "../world/cluster.ts";
import { closeWorlds, phaseOf, restart } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const POOL = "    health: { unhealthy_threshold: 1 }\n    drain: { fatal_timeout: 5m }\n";

test("a cluster that is known late after a restart: the Node says the deadline at once", async () => {
  const w = await joined(3, { pool: POOL });
  const id = w.serving()[0] ?? "";
  const name = nameOf(w, id);
  const said = (): string =>
    clusterOf(w)
      .node(name)
      ?.conditions.find(({ type }) => type === "NavarchManaged")?.message ?? "";
  neverLeaving(w, 6);
  w.xid(id, 79);
  await w.until(() => phaseOf(w, id) === "draining", 60);
  await w.live(30);
  clusterOf(w).kube.setFault({ latencyMs: 700 });
  await restart(w);
  let paused = 0;
  for (let second = 0; second < 20; second++) {
    await w.live(1);
    if (said().includes("paused")) paused += 1;
  }
  expect(paused).toBeLessThan(5);
  expect(said()).toContain("what is left is cut off at");
});
