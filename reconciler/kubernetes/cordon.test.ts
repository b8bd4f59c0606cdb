import { beforeEach, describe, expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { liveNode, seedAgain, seedNode } from "../../test/fixture/kubernetes/node.ts";
import type { KubeAnswer, KubeRequest } from "./api.ts";
import { holdCordon, releaseCordon } from "./cordon.ts";
import type { CordonAnswer } from "./cordon.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import { ANNOTATION } from "../core/kubernetes/object.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { readObject } from "./read-field.ts";

const NAME = "gpu-17";
let clock: VirtualClock;
let kube: FakeKube;
let uid: string;
/** What was sent, writes only. */
let sent: KubeRequest[];
/** Runs before a write reaches the server, once each. */
let between: (() => void)[];

beforeEach(() => {
  clock = new VirtualClock(undefined, 0);
  kube = openFakeKube({ clock });
  uid = seedNode(kube, NAME).uid;
  sent = [];
  between = [];
});

const live = (): KubeNode => liveNode(kube, NAME);

const ports = () => ({
  clock,
  random: () => 0.5,
  api: {
    watch: kube.watch.bind(kube),
    close: () => undefined,
    call: (request: KubeRequest): Promise<KubeAnswer> => {
      if (request.verb === "patch") {
        sent.push(request);
        between.shift()?.();
      }
      return kube.call(request);
    },
  },
});

async function settle(work: Promise<CordonAnswer>): Promise<CordonAnswer> {
  await clock.pass(10_000);
  return work;
}
const hold = (more: Partial<Parameters<typeof holdCordon>[3]> = {}) =>
  settle(holdCordon(ports(), NAME, uid, { session: "s1", why: "xid79", pool: "a100", ...more }));
const release = (more: Partial<Parameters<typeof releaseCordon>[3]> = {}) =>
  settle(releaseCordon(ports(), NAME, uid, { pool: "a100", ...more }));

const gets = (): number => kube.asked.get("get nodes") ?? 0;

describe("holdCordon()", () => {
  test("cordons and answers with what the server holds", async () => {
    const answer = await hold();
    expect(answer).toEqual({ kind: "held", object: live(), coOwned: false });
    expect(live()).toMatchObject({ unschedulable: true, own: true, others: [] });
    expect(live().annotations).toEqual({
      [ANNOTATION.session]: "s1",
      [ANNOTATION.reason]: "xid79",
      [ANNOTATION.preexisting]: "false",
    });
    expect(sent[0]?.pool).toBe("a100");
  });

  const KEY = "nodeset.slinky.slurm.net/node-cordon-reason";
  const annotations = (): Record<string, unknown> => {
    const { metadata } = readObject(kube.get("nodes", "", NAME));
    return readObject(readObject(metadata)["annotations"]);
  };
  const slurm = (foreign = false) => ({ slurm: { reason: "navarch:s1 XID79 x", foreign } });

  test("S48: tells Slinky's operator why in the same write, and takes it back with the cordon", async () => {
    await hold(slurm());
    expect([sent.length, live().unschedulable, annotations()[KEY]]).toEqual([
      1,
      true,
      "navarch:s1 XID79 x",
    ]);
    expect(live().cordonReason?.own).toBe(true);
    // Another reason keeps it, although Slurm drains by now.
    await hold({ why: "xid95", ...slurm(true) });
    expect(annotations()[KEY]).toBe("navarch:s1 XID79 x");
    expect((await release()).kind).toBe("released");
    expect(annotations()).not.toHaveProperty([KEY]);
  });

  test("S48: leaves another's reason, a drain of Slurm's own and a person's cordon as they are", async () => {
    await hold(slurm(true));
    expect(annotations()).not.toHaveProperty([KEY]);
    await release();
    kube.person.annotate("nodes", "", NAME, { [KEY]: "kernel update" });
    await hold(slurm());
    expect([annotations()[KEY], live().cordonReason?.own]).toEqual(["kernel update", false]);
    await release();
    expect(annotations()[KEY]).toBe("kernel update");
    kube.person.annotate("nodes", "", NAME, { [KEY]: null });
    kube.person.cordon(NAME);
    await hold(slurm());
    expect(annotations()).not.toHaveProperty([KEY]);
  });

  test("takes one request if it is given a fresh copy, and one conflict with a stale one", async () => {
    const stale = live();
    expect((await hold({ cached: stale })).kind).toBe("held");
    expect([gets(), sent.length]).toEqual([0, 1]);
    await release();
    kube.person.label("nodes", "", NAME, { a: "b" });
    sent = [];
    expect((await hold({ cached: stale })).kind).toBe("held");
    expect(sent).toHaveLength(2);
  });

  test("writes nothing where it is so already, and does not take a copy's word for it", async () => {
    await hold();
    const copy = live();
    expect((await hold()).kind).toBe("held");
    expect(sent).toHaveLength(1);
    kube.person.uncordon(NAME);
    expect(await hold({ cached: copy })).toMatchObject({ kind: "yielded", to: "uncordon" });
    expect([sent.length, live().unschedulable]).toEqual([1, false]);
  });

  test("writes again when the reason or the session is another one", async () => {
    await hold();
    await hold({ why: "xid95" });
    await hold({ session: "s2", why: "xid95" });
    expect(live().annotations).toMatchObject({
      [ANNOTATION.session]: "s2",
      [ANNOTATION.reason]: "xid95",
      [ANNOTATION.preexisting]: "false",
    });
    expect(sent).toHaveLength(3);
  });

  test("shares a person's cordon and keeps in mind that it was first", async () => {
    kube.person.cordon(NAME);
    expect(await hold()).toMatchObject({ kind: "held", coOwned: true });
    await hold({ why: "again" });
    expect(live().annotations[ANNOTATION.preexisting]).toBe("true");
  });

  test("takes an uncordon in its session for a cancel, and only there", async () => {
    await hold();
    kube.person.uncordon(NAME);
    expect((await hold()).kind).toBe("yielded");
    expect((await hold({ again: true })).kind).toBe("held");
    kube.person.uncordon(NAME);
    expect((await hold({ session: "s2" })).kind).toBe("held");
  });

  test("takes our share without a cordon for no person's word, and cordons", async () => {
    await hold();
    const forged: KubeNode = { ...live(), unschedulable: false };
    expect((await hold({ cached: forged })).kind).toBe("held");
    expect(sent).toHaveLength(2);
  });

  test("decides again after a lost race", async () => {
    await hold({ session: "s0" });
    kube.person.uncordon(NAME);
    between = [() => seedAgain(kube, NAME)];
    expect((await hold()).kind).toBe("other_object");
    uid = live().uid;
    await hold();
    between = [() => kube.person.uncordon(NAME)];
    expect(await hold({ why: "other" })).toMatchObject({ kind: "yielded" });
    expect(live().unschedulable).toBe(false);
  });

  test("gives up after five lost races", async () => {
    const label = (i: number) => () => kube.person.label("nodes", "", NAME, { a: String(i) });
    between = [0, 1, 2, 3, 4, 5].map(label);
    const from = clock.monoMs();
    const answer = await hold();
    expect(answer).toMatchObject({ kind: "refused", retryAfterMs: null });
    expect(sent).toHaveLength(6);
    expect(clock.monoMs() - from).toBeLessThanOrEqual(10_000);
    expect(live().unschedulable).toBe(false);
  });

  test("touches no other object of the name, and makes none", async () => {
    const copy = live();
    seedAgain(kube, NAME);
    expect(await hold({ cached: copy })).toMatchObject({ kind: "other_object" });
    expect(live().unschedulable).toBe(false);
    kube.person.remove("nodes", "", NAME);
    expect(await hold({ cached: copy })).toMatchObject({ kind: "other_object" });
    expect(kube.get("nodes", "", NAME)).toBeUndefined();
  });

  test("says lost where nobody knows, and refused where nothing was done", async () => {
    kube.setFault({ lostAnswers: 1, concerns: ({ verb }) => verb === "patch" });
    expect((await hold()).kind).toBe("lost");
    expect(live().own).toBe(true);
    kube.setFault({ lostAnswers: 0, storms: [{ status: 504, probability: 1 }] });
    expect((await hold({ why: "b" })).kind).toBe("lost");
    kube.setFault({ storms: [{ status: 429, probability: 1, retryAfterMs: 3_000 }] });
    expect(await hold({ why: "c" })).toMatchObject({ kind: "refused", retryAfterMs: 3_000 });
    kube.setFault({ storms: [], down: true });
    // Nothing was sent yet when the read was lost.
    expect((await hold({ why: "d" })).kind).toBe("refused");
  });

  test("names the rule that is missing", async () => {
    kube.denied.add("patch nodes");
    expect(await hold()).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("may not patch nodes (cordons, labels and taints)"),
    });
  });

  test("sends nothing without a version, which the server would take for no fence", async () => {
    expect(await hold({ cached: { ...live(), resourceVersion: "0" } })).toMatchObject({
      kind: "refused",
    });
    expect(sent).toEqual([]);
  });
});

describe("releaseCordon()", () => {
  test("leaves nothing of ours", async () => {
    await hold();
    expect(await release()).toEqual({
      kind: "released",
      object: live(),
      stays: [],
      wiped: false,
    });
    expect(live()).toMatchObject({ unschedulable: false, own: false, annotations: {} });
    expect((await release()).kind).toBe("released");
    expect(sent).toHaveLength(2);
  });

  test("leaves a person's cordon, and says whose it is", async () => {
    kube.person.cordon(NAME);
    await hold();
    expect(await release()).toMatchObject({ kind: "released", stays: ["kubectl"], wiped: false });
    expect(live()).toMatchObject({ unschedulable: true, own: false });
  });

  test("does not touch a cordon without a share of ours", async () => {
    kube.person.cordon(NAME);
    expect(await release()).toMatchObject({ kind: "released", stays: ["kubectl"] });
    expect(sent).toEqual([]);
  });

  test("lifts nothing once ownership was wiped, and says so", async () => {
    await hold();
    kube.person.wipeManagedFields(NAME);
    expect(await release()).toMatchObject({ kind: "released", stays: ["unknown"], wiped: true });
    expect([live().unschedulable, sent.length]).toEqual([true, 1]);
    // Whether by us or, as here, by a person who lifted ours before: nobody can tell.
    kube.person.uncordon(NAME);
    kube.person.cordon(NAME);
    expect(await release()).toMatchObject({ wiped: true });
    expect(live().unschedulable).toBe(true);
  });

  test("yields to a hold", async () => {
    await hold();
    kube.person.annotate("nodes", "", NAME, { [ANNOTATION.hold]: "true" });
    expect(await release()).toMatchObject({ kind: "yielded", to: "hold" });
    expect(live().own).toBe(true);
    kube.person.annotate("nodes", "", NAME, { [ANNOTATION.hold]: null });
    expect(await release()).toMatchObject({ kind: "released", stays: [] });
  });

  test("yields to a hold that was set while it was on its way", async () => {
    await hold();
    const annotate = () => kube.person.annotate("nodes", "", NAME, { [ANNOTATION.hold]: "true" });
    between = [annotate];
    expect(await release()).toMatchObject({ kind: "yielded", to: "hold" });
    expect(live().unschedulable).toBe(true);
  });

  test("takes its annotations away after a person's uncordon", async () => {
    await hold();
    kube.person.uncordon(NAME);
    expect(await release()).toMatchObject({ kind: "released", stays: [] });
    expect(live().annotations).toEqual({});
  });
});
