/**
 * What comes late: a list of pods after a lost database, the proof that a leftover mark may go, and
 * the hundredth refusal of one and the same mark.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { NO_FAULT } from "../../simulator/cluster/fault.ts";
import {
  clusterOf,
  isMarked,
  joined,
  nameOf,
  neverLeaving,
  objectOf,
  pass,
} from "../world/cluster.ts";
import { closeWorlds, loseDatabase, order, phaseOf, watchEnds } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

test("a lost database, pods listed late: a sick machine is marked and drained", async () => {
  const pool =
    "    health: { unhealthy_threshold: 1 }\n    drain: { timeout: 4h, fatal_timeout: 4h }\n";
  const w = await joined(3, { pool });
  const [id = ""] = w.serving();
  const name = nameOf(w, id);
  const web = neverLeaving(w, 6);
  const ends = watchEnds(w);
  const { kube } = clusterOf(w);
  kube.setFault({ hang: true, concerns: ({ path }) => path === "/api/v1/pods" });
  await loseDatabase(w);
  // Its agent speaks first after the machine was adopted.
  await w.turn();
  w.xid(id, 79);
  await w.live(30);
  kube.setFault(NO_FAULT);
  await w.live(120);
  expect(ends).toEqual([]);
  expect(isMarked(clusterOf(w).node(name))).toBe(true);
  expect(web.on(name)).toHaveLength(2);
});

test("a lost database leaves the mark of a navarch cordon, which goes once the node is well", async () => {
  const w = await joined(3);
  const [id = ""] = w.serving();
  neverLeaving(w, 6);
  await order(w, id, "cordon");
  await w.until(() => isMarked(objectOf(w, id)), 60);
  await loseDatabase(w);
  await pass(w, 900);
  expect(phaseOf(w, id)).toBe("serving");
  expect(objectOf(w, id)).toMatchObject({ unschedulable: false, own: false });
});

test("a cordon that is refused by permission is told a bounded number of times", async () => {
  const w = await joined(2);
  const [id = ""] = w.serving();
  clusterOf(w).kube.denied.add("patch nodes");
  w.xid(id, 79);
  await w.live(60);
  const before = w.events.length;
  await w.live(600);
  expect(w.events.length - before).toBeLessThan(20);
});
