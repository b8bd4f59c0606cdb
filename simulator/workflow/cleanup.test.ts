import { expect, test } from "bun:test";
import { refuse, SmallKube } from "../../test/world/small-kube.ts";
import { VirtualClock } from "../engine/clock.ts";
import { type CleanupOptions, cleanUp } from "./cleanup.ts";
import { noFleet } from "../../test/world/no-fleet.ts";
import { type Fleet, type FleetNode, notingFaults } from "./fleet.ts";
import { Made } from "./made.ts";

const OURS = { managedFields: [{ manager: "navarch-sim-1" }] };
const CM = "/api/v1/namespaces/default/configmaps";

class Ground {
  readonly kube = new SmallKube();
  readonly made = new Made();
  readonly clock = new VirtualClock();
  readonly lines: string[] = [];

  /** As a task makes it. */
  make(path: string, isNode = false): void {
    this.made.intend(path, path, isNode);
    this.made.confirm(path, this.kube.put(path, OURS).metadata.uid);
  }

  /** What is left, and the time that it took. */
  async clean(given: Partial<CleanupOptions> = {}): Promise<string[]> {
    const options: CleanupOptions = {
      api: this.kube,
      made: this.made,
      clock: this.clock,
      say: (level, line) => this.lines.push(`${level} ${line}`),
      fieldManager: "navarch-sim-1",
      timeoutMs: 60_000,
      keepsNodes: false,
      ...given,
    };
    let isOver = false;
    const running = cleanUp(options).finally(() => {
      isOver = true;
    });
    for (let i = 0; i < 10_000 && !isOver; i++) await this.clock.pass(100);
    return (await running).map(({ path }) => path);
  }

  paths(): string[] {
    return [...this.kube.objects.keys()];
  }
}

test("W8: removes what was made, latest first, and nothing else", async () => {
  const ground = new Ground();
  ground.kube.put(`${CM}/before`);
  ground.make("/api/v1/namespaces/own");
  ground.make(`${CM}/a`);
  ground.make(`${CM}/b`);
  expect(await ground.clean()).toEqual([]);
  expect(ground.paths()).toEqual([`${CM}/before`]);
  const deletions = ground.kube.calls.filter((call) => call.startsWith("delete"));
  expect(deletions).toEqual(
    [`${CM}/b`, `${CM}/a`, "/api/v1/namespaces/own"].map((path) => `delete ${path}`),
  );
  expect(ground.made.all()).toEqual([]);
});

test("W8: -cleanup.nodes=false keeps virtual nodes", async () => {
  const ground = new Ground();
  ground.make("/api/v1/nodes/virtual-a", true);
  ground.make(`${CM}/a`);
  expect(await ground.clean({ keepsNodes: true })).toEqual([]);
  expect(ground.paths()).toEqual(["/api/v1/nodes/virtual-a"]);
});

test("W8: another object of the same name stays", async () => {
  const ground = new Ground();
  ground.make(`${CM}/a`);
  ground.kube.put(`${CM}/a`);
  expect(await ground.clean()).toEqual([]);
  expect(ground.paths()).toEqual([`${CM}/a`]);
});

test("W8: an object without an answer goes if it is ours, and stays if it is not", async () => {
  const ground = new Ground();
  for (const name of ["ours", "theirs", "none", "late"]) ground.made.intend(`${CM}/${name}`, name);
  ground.kube.put(`${CM}/ours`, OURS);
  ground.kube.put(`${CM}/theirs`, { managedFields: [{ manager: "kubectl" }] });
  // The lost request is executed while the cleanup runs.
  ground.clock.after(1_000, () => void ground.kube.put(`${CM}/late`, OURS));
  expect(await ground.clean()).toEqual([]);
  expect(ground.paths()).toEqual([`${CM}/theirs`]);
});

test("W8: a refusal is a warning, and the others go", async () => {
  const ground = new Ground();
  for (const name of ["a", "b", "c"]) ground.make(`${CM}/${name}`);
  ground.kube.before = async ({ verb, path }) =>
    verb === "delete" && path.endsWith("b") ? refuse(403, "Forbidden", "cannot delete") : null;
  expect(await ground.clean()).toEqual([`${CM}/b`]);
  expect(ground.lines).toContain(`warning cleanup: ${CM}/b is not removed: cannot delete`);
});

test("W8: a lost answer is repeated until the server says what happened", async () => {
  const ground = new Ground();
  ground.make(`${CM}/a`);
  let lost = 3;
  ground.kube.before = async (request) => {
    if (request.verb !== "delete" || lost-- <= 0) return null;
    ground.kube.perform(request);
    return { kind: "lost", message: "no answer in 10000 ms" };
  };
  expect(await ground.clean()).toEqual([]);
  expect(ground.paths()).toEqual([]);
  expect(ground.lines.filter((line) => line.startsWith("warning"))).toHaveLength(1);
});

test("W8: a server that is away ends the cleanup at its limit, and the log names what is left", async () => {
  const ground = new Ground();
  ground.make(`${CM}/a`);
  ground.made.intend(`${CM}/b`, "configmap default/b");
  ground.kube.before = async () => ({ kind: "lost", message: "connection refused" });
  expect(await ground.clean({ timeoutMs: 30_000 })).toEqual([`${CM}/b`, `${CM}/a`]);
  expect(ground.clock.monoMs()).toBeWithin(30_000, 31_000);
  expect(ground.lines).toContain(
    "warning cleanup: configmap default/b is not removed: connection refused",
  );
});

test("W8: what a finalizer holds is waited for, up to the limit", async () => {
  const ground = new Ground();
  ground.make("/api/v1/namespaces/own");
  const held = ground.kube.objects.get("/api/v1/namespaces/own");
  if (held !== undefined) held.metadata.finalizers = ["kubernetes"];
  ground.clock.after(5_000, () => void ground.kube.objects.delete("/api/v1/namespaces/own"));
  expect(await ground.clean()).toEqual([]);
  expect(ground.clock.monoMs()).toBeWithin(5_000, 6_000);
  expect(ground.lines).toContain("info Cleanup: waiting until /api/v1/namespaces/own is gone");

  const stuck = new Ground();
  stuck.make(`${CM}/a`);
  const object = stuck.kube.objects.get(`${CM}/a`);
  if (object !== undefined) object.metadata.finalizers = ["example.com/never"];
  expect(await stuck.clean({ timeoutMs: 3_000 })).toEqual([`${CM}/a`]);
  expect(stuck.lines.at(-2)).toBe(
    `warning cleanup: ${CM}/a is not removed: it is being deleted; a finalizer may hold it`,
  );
});

test("W8: injected faults are cleared, latest first, while their machine is there", async () => {
  const ground = new Ground();
  const asked: string[] = [];
  const there = ["a", "b"].map((id) => ({ id }) as FleetNode);
  const fleet: Fleet = {
    ...noFleet("none"),
    nodes: async () => ({ ok: true, value: there }),
    async inject(node, fault) {
      asked.push(`${node} ${fault?.kind ?? "clear"}`);
      const isRefused = node === "b" && fault === null;
      return isRefused ? { ok: false, message: "no answer" } : { ok: true, value: null };
    },
  };
  const noted = notingFaults(fleet, ground.made);
  for (const id of ["a", "b", "replaced", "cleared"])
    await noted.inject(id, { kind: "lost", gpu: 0 });
  await noted.inject("cleared", null);
  asked.length = 0;
  expect(await ground.clean()).toEqual([]);
  expect(asked).toEqual(["b clear", "a clear"]);
  expect(ground.lines).toEqual([
    "info Cleanup: fault of replaced left with its machine",
    "warning cleanup: the fault of b is not cleared: no answer",
    "info Cleanup: fault of a cleared",
  ]);
});

test("W8: virtual nodes go once their pods have ended", async () => {
  const ground = new Ground();
  ground.make("/api/v1/nodes/virtual-a", true);
  const pod = ground.kube.put("/api/v1/pods/p");
  pod["spec"] = { nodeName: "virtual-a" };
  ground.clock.after(2_000, () => void ground.kube.objects.delete("/api/v1/pods/p"));
  expect(await ground.clean()).toEqual([]);
  expect(ground.clock.monoMs()).toBeWithin(2_000, 3_000);
});

test("W8: 2,000 nodes go at once, not one after the other", async () => {
  const ground = new Ground();
  for (let i = 0; i < 2_000; i++) ground.make(`/api/v1/nodes/virtual-${i}`, true);
  let [busy, most] = [0, 0];
  ground.kube.before = async ({ verb }) => {
    if (verb !== "delete") return null;
    busy += 1;
    most = Math.max(most, busy);
    await new Promise<void>((resolve) => void ground.clock.after(10, resolve));
    busy -= 1;
    return null;
  };
  expect(await ground.clean()).toEqual([]);
  expect(most).toBe(32);
});
