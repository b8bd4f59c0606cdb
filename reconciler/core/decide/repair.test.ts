/** What becomes of a node that serves, and of one against which evidence is held. */
import { describe, expect, test } from "bun:test";
import type { InstanceId, NodeId, OperationId } from "../../../schema/id.ts";
import type { Health, Node, Phase } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import { alike } from "../../../test/world/alike.ts";
import {
  ask,
  stepOf,
  drainingOf,
  endingOf,
  goneOf,
  kubeSightOf,
  NOW,
  orderOf,
  OURS,
  planOf,
  poolOf,
  priced,
  type Setting,
  settingOf,
  THEIRS,
  waitOf,
} from "../../../test/world/ask.ts";
import {
  agentOf,
  heldOf,
  instanceOf,
  kubeOf,
  nodeOf,
  sessionOf,
  sickOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { guardKey } from "../safety/guard.ts";
import { BY_KUBERNETES } from "../safety/uncordoned.ts";

const MIN = 60_000;
const HOUR = 60 * MIN;
const BLIND: Setting = { sight: { blind: ["dark", "far"] } };
const FROZEN: Setting = { sight: { frozen: "move (ann)" } };
const KUBE: Setting = { sight: { kube: kubeSightOf() } };
const DARK: Setting = { sight: { kube: kubeSightOf({ dark: "API server is away" }) } };
const HOLD = { kube: kubeOf({ hold: true }) };
const KEPT = "human: navarch.dev/hold is set on Node k";
const proof = heldOf({ definitive: true, because: "remap failed" });
const evident = heldOf({ definitive: true, because: "off the bus" }, { code: 79 });
const withHealth = (node: Node, health: Partial<Health>): Node => ({
  ...node,
  health: { ...node.health, ...health },
});
const serving = (over: Partial<Node> = {}, health: Partial<Health> = {}) =>
  withHealth(nodeOf("n", over), { verdict: "healthy", ...health });
const ill = { verdict: "unhealthy", held: [heldOf()] } as const;
const threshold = (count: number) => ({
  health: { ...poolOf().health, unhealthyThreshold: count },
});

describe("serving", () => {
  test("and well, there is nothing to do and nothing to say", () => {
    expect(ask(serving())).toEqual({ action: undefined, wait: undefined });
    expect(ask(serving({}, { verdict: "degraded" }))).toEqual({
      action: undefined,
      wait: undefined,
    });
  });

  test("evidence opens a session, with the reasons that people read", () => {
    expect(ask(serving({}, ill as never)).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: { kind: "suspect", since: NOW },
      event: "node.suspect",
      because: ["XID 48 on GPU 0"],
      session: "open",
    });
    const silent = { silentSince: NOW - MIN };
    expect(ask(serving({}, silent)).action).toMatchObject({ because: ["its heartbeats stopped"] });
    expect(ask(serving({}, { ...ill, ...silent } as never)).action).toMatchObject({
      because: ["XID 48 on GPU 0", "its heartbeats stopped"],
    });
    const slow = (gpu_index: number, day: number) =>
      heldOf(
        { result: "degraded", because: "slow" },
        { code: 63, gpu_index, gpu_uuid: `GPU-${gpu_index}`, at: `1970-01-0${day}T00:00:00Z` },
        {
          key: `xid/63/GPU-${gpu_index}`,
          firstAt: (day - 1) * 24 * HOUR,
          lastAt: (day - 1) * 24 * HOUR,
        },
      );
    const because = (extra: ReturnType<typeof heldOf>) =>
      ask(serving({}, { verdict: "unhealthy", held: [extra, heldOf({}, { gpu_uuid: "GPU-0" })] }))
        .action?.because;
    expect(because(slow(0, 1))).toEqual(["XID 48 on GPU 0 (and 1 that follow from it)"]);
    expect(because(slow(1, 3))).toEqual(["XID 48 on GPU 0"]);
  });

  test("reasons are eight at most, one for each incident", () => {
    const held = Array.from({ length: 9 }, (_, i) =>
      heldOf(
        { because: `fault ${i}` },
        { gpu_index: i, gpu_uuid: `GPU-${i}`, at: `1970-01-0${i + 1}T00:00:00Z` },
        { key: `xid/48/GPU-${i}`, firstAt: i * HOUR, lastAt: i * HOUR },
      ),
    );
    const { action } = ask(serving({}, { verdict: "unhealthy", held }));
    expect(action?.because).toHaveLength(8);
  });

  test("a node that a person returned to service stays, with a wait", () => {
    const waiver = { by: "human:ann", why: "benign", at: 0, evidence: ["r/xid/48/node"] };
    const given = serving({ waiver }, ill as never);
    expect(waitOf(given)).toBe(
      "human: returned to service by human:ann (benign) despite: XID 48 on GPU 0",
    );
    const others = kubeOf({ name: "gpu-1", unschedulable: true, others: ["kubectl-cordon"] });
    expect(waitOf(serving({ waiver, kube: others }, ill as never))).toBe(waitOf(given));
    const off = serving({ waiver: { ...waiver, by: BY_KUBERNETES }, kube: others }, ill as never);
    expect(waitOf(off)).toBe(
      "human: its repair was cancelled: uncordoned in Kubernetes by hand at " +
        "1970-01-01T00:00:00.000Z, despite: XID 48 on GPU 0. " +
        "Resume its repair, drain included, with `navarch replace n`",
    );
    const more = serving(
      { waiver },
      { verdict: "unhealthy", held: [heldOf(), heldOf({}, {}, { key: "new" })] },
    );
    expect(stepOf(more)).toBe("suspect");
    expect(ask(serving({ waiver }))).toEqual({ action: undefined, wait: undefined });
  });

  test("its own cordon is lifted, and a person's stays", () => {
    expect(ask(serving({ cordon: OURS })).action).toEqual({
      kind: "effect",
      node: "n" as NodeId,
      payload: { kind: "uncordon", why: "the reason to cordon it has passed", keep: false },
      because: ["was: XID 48"],
    });
    const both = { cordon: { ...OURS, human: THEIRS.human } };
    expect(ask(serving({ ...both, kube: kubeOf({ isolatedUid: "uid-1" }) })).action).toMatchObject({
      payload: { kind: "uncordon", keep: true },
    });
    expect(waitOf(serving({ cordon: OURS, ...HOLD }))).toBe(KEPT);
    expect(ask(serving(HOLD))).toEqual({ action: undefined, wait: undefined });
    expect(waitOf(serving({ cordon: THEIRS }))).toBe("human: cordoned by human:ann: mine");
    expect(waitOf(serving({ kube: kubeOf({ others: ["kubectl", "autoscaler"] }) }))).toBe(
      "human: cordoned in Kubernetes by kubectl, autoscaler",
    );
  });

  test("a loss that its agent denies is doubted, and one with silence is believed", () => {
    const gone = { instance: instanceOf({ state: "terminated" }) };
    expect(waitOf(serving(gone))).toBe(
      "second_witness: the cloud reports instance i-1 as terminated, but its agent reports: the cloud is not trusted",
    );
    expect(stepOf(serving(gone, { silentSince: 1 }))).toBe("terminating lost");
    expect(stepOf(serving({ ...gone, order: orderOf("drain") }))).toBe("drain operator");
    expect(waitOf(serving({ ...gone, cordon: OURS }))).toStartWith("second_witness: ");
  });

  test("of a removed pool it stays, and the wait shows that it is billed", () => {
    const stray = serving({ pool: "x" as never });
    expect(waitOf(stray)).toBe(
      "not_ours: its pool x is not in the configuration any more: it is billed until a person terminates it",
    );
    expect(ask(serving({ pool: null }))).toEqual({ action: undefined, wait: undefined });
  });
});

describe("given up for a smaller pool", () => {
  const smaller = { desired: 0 };
  const why = "scale down: pool p wants 0 nodes";

  test("is cordoned, then drained", () => {
    expect(ask(serving(), smaller).action).toEqual({
      kind: "effect",
      node: "n" as NodeId,
      payload: { kind: "cordon", why, cause: "scale_down" },
      because: [why],
    });
    expect(ask(serving({ cordon: OURS }), smaller).action).toMatchObject({
      payload: { kind: "drain", purpose: "scale_down" },
      because: [why],
    });
  });

  test("waits while blind and for people", () => {
    expect(waitOf(serving(), { ...smaller, ...BLIND })).toBe("blind: dark; far");
    expect(waitOf(serving(), { ...smaller, ...FROZEN })).toBe(
      "human: the fleet is frozen: move (ann)",
    );
    expect(waitOf(serving({ kube: kubeOf() }), { ...smaller, ...DARK })).toBe(
      "blind: API server is away",
    );
    expect(waitOf(serving(HOLD), { ...smaller, ...KUBE })).toBe(KEPT);
  });

  test("whatever it was about to become", () => {
    const sick = sickOf("n", { cordon: OURS });
    expect(stepOf(sick, smaller)).toBe("drain scale_down");
    const pair = { kind: "replacing", since: 0, replacement: "m" as NodeId } as const;
    expect(stepOf(sickOf("n", { phase: pair }), smaller)).toBe("cordon");
  });
});

const sick = (over: Partial<Node> = {}, health: Partial<Health> = {}, held = [heldOf()]) =>
  withHealth(sickOf("n", over, held), { unhealthyRun: 1, lastCountedAt: NOW - MIN, ...health });
const marked = (over: Partial<Node> = {}, health: Partial<Health> = {}, held = [heldOf()]) =>
  sick({ cordon: OURS, ...over }, health, held);

describe("isolation", () => {
  test("is a cordon with the reasons", () => {
    expect(ask(sick()).action).toEqual({
      kind: "effect",
      node: "n" as NodeId,
      payload: { kind: "cordon", why: "XID 48 on GPU 0", cause: "fault" },
      because: ["XID 48 on GPU 0"],
    });
  });

  test("waits for the threshold, and not where there is proof or silence", () => {
    const two = { pool: threshold(2) };
    expect(ask(sick(), two).wait).toEqual({
      reason: "threshold",
      message: "1 of 2 consecutive unhealthy evaluations: XID 48 on GPU 0",
      until: NOW - MIN + settingOf({}).server.healthCheckIntervalMs,
    });
    expect(stepOf(sick({}, { unhealthyRun: 2 }), two)).toBe("cordon");
    expect(stepOf(sick({}, {}, [proof]), two)).toBe("cordon");
    expect(
      stepOf(sick({}, {}, [heldOf({ definitive: true, result: "degraded" })]), two),
    ).toBeNull();
    expect(stepOf(sick({}, { silentSince: NOW - MIN, unhealthyRun: 0 }), two)).toBe("cordon");
    expect(stepOf(sick({ pool: null }))).toBe("cordon");
    expect(stepOf(sick({ pool: null }, { unhealthyRun: 0 }))).toBeNull();
    // What is marked for its silence waits with the others.
    expect(waitOf(marked({}, { silentSince: NOW - MIN }), two)).toContain("threshold: 1 of 2");
  });

  test("waits for people and budgets, and while blind", () => {
    expect(waitOf(sick(), FROZEN)).toBe("human: the fleet is frozen: move (ann)");
    // The cordon of a definitive fault is taken back by one command, and saves a job.
    expect(stepOf(sick({}, {}, [proof]), FROZEN)).toBe("cordon");
    const all = { sight: { frozen: "move (ann)", frozenAll: true } };
    expect(waitOf(sick({}, {}, [proof]), all)).toBe("human: the fleet is frozen: move (ann)");
    expect(waitOf(sick(HOLD), KUBE)).toBe(KEPT);
    expect(waitOf(sick(), BLIND)).toBe("blind: dark; far");
    expect(stepOf(sick({}, {}, [proof]), BLIND)).toBe("cordon");
    const { safety } = settingOf({});
    const none = { kind: "nodes", nodes: 0 } as const;
    const isolate = { ...safety.budgets.isolate, pool: none };
    const tight = { config: { safety: { ...safety, budgets: { ...safety.budgets, isolate } } } };
    expect(waitOf(sick(), tight)).toBe("budget: pool:p: 0 of at most 0 were cordoned lately");
    expect(stepOf(sick({}, {}, [evident]), tight)).toBe("cordon");
    const out = { pool: { health: { ...poolOf().health, maxUnavailable: none } } };
    expect(waitOf(sick(), out)).toBe("budget: 0 of at most 0 nodes of pool p are out of service");
    expect(stepOf(sick({}, {}, [evident]), out)).toBe("cordon");
    expect(waitOf(sick({}, {}, [proof]), out)).toContain("0 of at most 0");
  });

  test("spends, so that one plan marks no more than it may", () => {
    const one = { kind: "nodes", nodes: 1 } as const;
    const other = { ...sick({ slot: 1, session: sessionOf({ openedAt: 5 }) }), id: "o" as NodeId };
    const out = { pool: { health: { ...poolOf().health, maxUnavailable: one } } };
    expect(stepOf(sick(), { ...out, others: [other] })).toBe("cordon");
    expect(stepOf(other, { ...out, others: [sick()] })).toBeNull();
    const { safety } = settingOf({});
    const isolate = { ...safety.budgets.isolate, pool: one };
    const tight = { config: { safety: { ...safety, budgets: { ...safety.budgets, isolate } } } };
    expect(waitOf(other, { ...tight, others: [sick()] })).toBe(
      "budget: pool:p: 1 of at most 1 were cordoned lately",
    );
  });

  test("for silence alone has a budget of its own", () => {
    const quiet = (id: string, slot: number, openedAt = 0) => {
      const node = nodeOf(id, {
        slot,
        phase: { kind: "suspect", since: 0 },
        session: sessionOf({ openedAt }),
      });
      return withHealth(node, { verdict: "healthy", silentSince: NOW - MIN });
    };
    const one = {
      pool: {
        health: { ...poolOf().health, maxUnavailable: { kind: "nodes", nodes: 1 } as const },
      },
    };
    const others = [marked({ slot: 2 })].map((node) => ({ ...node, id: "m" as NodeId }));
    expect(stepOf(quiet("n", 0), { ...one, others })).toBe("cordon");
    expect(waitOf(quiet("n", 0, 5), { ...one, others: [quiet("o", 1)] })).toBe(
      "budget: 1 of at most 1 nodes of pool p are out of service",
    );
    const { safety } = settingOf({});
    const isolate = { ...safety.budgets.isolate, pool: { kind: "nodes", nodes: 0 } as const };
    const tight = { config: { safety: { ...safety, budgets: { ...safety.budgets, isolate } } } };
    expect(stepOf(quiet("n", 0), tight)).toBe("cordon");
  });
});

describe("marked and sick", () => {
  test("is drained for its replacement", () => {
    expect(ask(marked()).action).toEqual({
      kind: "effect",
      node: "n" as NodeId,
      payload: {
        kind: "drain",
        purpose: "replace",
        deadlineAt: NOW + poolOf().drain.timeoutMs,
        gracePeriodMs: poolOf().drain.gracePeriodMs,
        force: poolOf().drain.force,
      },
      because: ["XID 48 on GPU 0"],
    });
  });

  test("by an order first of all, and not once it is lost", () => {
    expect(stepOf(marked({ order: orderOf("drain") }))).toBe("drain operator");
    const gone = { instance: instanceOf({ state: "terminated" }) };
    expect(stepOf(marked(gone, { silentSince: 1 }))).toBe("terminating lost");
    expect(stepOf(marked(gone))).toBe("drain replace");
  });

  test("silent, with a cloud that shows it running, waits for a second witness", () => {
    const quiet = (node: Node) =>
      withHealth(
        { ...node, cordon: OURS },
        { verdict: "healthy", held: [], unhealthyRun: 0, silentSince: NOW - MIN },
      );
    const since = new Date(NOW - MIN).toISOString();
    expect(waitOf(quiet(sick()))).toBe(
      `second_witness: silent since ${since}, but the cloud shows its instance running`,
    );
    const theirs = quiet(unboughtOf("u", { phase: { kind: "suspect", since: 0 } }));
    expect(waitOf(theirs)).toBe(
      `human: silent since ${since}, and this fleet did not buy it, so no cloud can be asked: ` +
        "restart its agent, or run `navarch forget u` once the machine is gone",
    );
  });

  test.each<[string, Node, Setting, string]>([
    [
      "a person's cordon",
      marked({ cordon: { ...OURS, human: THEIRS.human } }),
      {},
      "human: cordoned by human:ann (mine): uncordon it, or order its replacement",
    ],
    [
      "no pool",
      marked({ pool: null }),
      {},
      "not_ours: its agent names no pool: drain it and repair it by hand (navarch drain n)",
    ],
    [
      "a pool that is not configured",
      marked({ pool: null, agent: agentOf({ pool: "q" }) }),
      {},
      "not_ours: pool q is not configured: drain it and repair it by hand (navarch drain n)",
    ],
    [
      "no instance",
      marked({ instance: null }),
      {},
      "not_ours: no instance of this fleet: a person has to repair it",
    ],
    [
      "auto_replace off",
      marked(),
      { pool: { health: { ...poolOf().health, unhealthyThreshold: 1, autoReplace: false } } },
      "not_ours: auto_replace is off for pool p",
    ],
    ["a freeze", marked(), FROZEN, "human: the fleet is frozen: move (ann)"],
    ["blindness", marked(), BLIND, "blind: dark; far"],
    [
      "a cluster that does not answer",
      marked({ kube: kubeOf({ isolatedUid: "uid-1" }) }),
      DARK,
      "blind: API server is away",
    ],
    [
      "a ladder without replacement",
      marked(),
      { pool: { ...threshold(1), repair: { ladder: ["gpu-reset"] } } },
      "human: the ladder of pool p ends without replacement (gpu-reset skipped: agents of this version do not carry it out)",
    ],
    [
      "a ceiling",
      marked({ instance: instanceOf({ pricePerHour: 1 }) }),
      {
        pool: { spend: { perHourMax: 1, perMonthMax: null, instancesMax: null } },
        sight: { fake: priced(2) },
      },
      "spend: pool:p would cost $0.00/h + $2.00/h, above $1.00/h",
    ],
    [
      "machines that could not be set up",
      marked(),
      {
        pool: {
          bootstrap: { ...poolOf().bootstrap, setupCommands: ["x"], sshPrivateKeyPath: "/k" },
        },
        sight: { fake: { bringsAgent: false }, keys: alike("/k: no such file") },
      },
      "bootstrap: nothing could replace it: /k: no such file",
    ],
  ])("is vetoed by %s", (_, node, setting, expected) => {
    expect(waitOf(node, setting)).toBe(expected);
  });

  test("a ceiling counts the place that the node frees, unless the new one comes first", () => {
    const setting = (replacement: "surge" | "drain-first", instancesMax = 1): Setting => ({
      pool: {
        spend: { perHourMax: null, perMonthMax: null, instancesMax },
        replacement: replacement as never,
      },
    });
    expect(stepOf(marked(), setting("drain-first"))).toBe("drain replace");
    expect(waitOf(marked(), setting("surge"))).toBe("spend: pool:p has 1 of at most 1 instances");
    expect(stepOf(marked(), setting("surge", 2))).toBe("replacing");
  });

  test("new machines that do not come up keep it in place", () => {
    const key = guardKey(poolOf(), "fake///h100-8x");
    const guard = (notBefore: number, failures = 3) => ({
      state: { guards: { [key]: { failures, outcomes: [false, false, false], notBefore, at: 0 } } },
    });
    const why = "new nodes of pool p do not come up: nothing could replace it";
    expect(ask(marked(), guard(NOW + 9)).wait).toEqual({
      reason: "bootstrap_guard",
      message: why,
      until: NOW + 9,
    });
    expect(stepOf(marked(), guard(NOW))).toBe("drain replace");
    expect(stepOf(marked(), guard(NOW + 9, 0))).toBe("drain replace");
    const trying = nodeOf("t", {
      slot: 3,
      offer: key,
      phase: { kind: "booting", since: NOW },
      agent: null,
    });
    expect(ask(marked(), { ...guard(NOW), others: [trying] }).wait).toMatchObject({
      message: why,
      until: null,
    });
    const two = poolOf().providers.flatMap((ref) => [ref, { ...ref, zones: ["z"] }]);
    const second = guardKey(poolOf(), "fake//z/h100-8x");
    const both = (until: number) => ({
      ...guard(NOW + 9),
      state: {
        guards: {
          [key]: { failures: 3, outcomes: [], notBefore: NOW + 9, at: 0 },
          [second]: { failures: 3, outcomes: [], notBefore: until, at: 0 },
        },
      },
      pool: { providers: two },
    });
    expect(ask(marked(), both(NOW + 5)).wait?.until).toBe(NOW + 5);
    expect(ask(marked(), both(NOW + 12)).wait?.until).toBe(NOW + 9);
    expect(stepOf(marked(), both(NOW))).toBe("drain replace");
  });

  test("an unmanaged machine is emptied without a deadline", () => {
    const theirs = (over: Partial<Node> = {}) => marked({ slot: null, instance: null, ...over });
    expect(ask(theirs()).action).toMatchObject({
      payload: { kind: "drain", purpose: "repair", deadlineAt: 0 },
      because: ["XID 48 on GPU 0"],
    });
    expect(waitOf(theirs(), FROZEN)).toBe("human: the fleet is frozen: move (ann)");
    expect(waitOf(theirs({ cordon: { ...OURS, human: THEIRS.human } }))).toBe(
      "human: cordoned by human:ann (mine): uncordon it",
    );
    const { safety } = settingOf({});
    const reboot = { ...safety.budgets.reboot, pool: { kind: "nodes", nodes: 0 } as const };
    const tight = { config: { safety: { ...safety, budgets: { ...safety.budgets, reboot } } } };
    expect(waitOf(theirs(), tight)).toContain("budget: pool:p: 0 of at most 0");
  });

  test("replacement has a budget in every scope and in its pool", () => {
    const { safety } = settingOf({});
    const replace = { ...safety.budgets.replace, pool: { kind: "nodes", nodes: 0 } as const };
    const tight = { config: { safety: { ...safety, budgets: { ...safety.budgets, replace } } } };
    expect(waitOf(marked(), tight)).toBe(
      "budget: pool:p: 0 of at most 0 are being repaired or replaced",
    );
    const one = {
      pool: {
        health: {
          ...poolOf().health,
          unhealthyThreshold: 1,
          maxUnavailable: { kind: "nodes", nodes: 1 } as const,
        },
      },
    };
    const away = nodeOf("a", { slot: 1, phase: drainingOf({ sawWork: true }), cordon: OURS });
    expect(
      waitOf(sick({ cordon: OURS }, {}, [evident]), {
        ...one,
        others: [away],
        sight: { left: { kind: "busy", remaining: 1, message: "" } },
      }),
    ).toBe("budget: 1 of at most 1 nodes of pool p are out of service");
  });
});

describe("a ladder with a reboot", () => {
  const ladder = {
    pool: { ...threshold(1), repair: { ladder: ["gpu-reset", "reboot", "replace"] } },
  } as Setting;
  const bottom = { pool: { ...threshold(1), repair: { ladder: ["reboot"] } } } as Setting;
  const skipped = (node: Node, setting: Setting = ladder) => {
    const { action } = ask(node, setting);
    return action?.because.slice(1);
  };
  const RESET = "gpu-reset skipped: agents of this version do not carry it out";

  test("drains for it, and says what it passed over", () => {
    expect(stepOf(marked(), ladder)).toBe("drain repair");
    expect(skipped(marked())).toEqual([RESET]);
  });

  test("passes it over where it cannot help", () => {
    const none = "reboot skipped: the provider does not reboot machines";
    expect(skipped(marked(), { ...ladder, sight: { fake: { canReboot: false } } })).toEqual([
      RESET,
      none,
    ]);
    expect(stepOf(marked(), { ...ladder, sight: { fake: { canReboot: false } } })).toBe(
      "drain replace",
    );
    const outlives = (over: object) => skipped(marked({}, {}, [heldOf(over)]));
    const beyond = [RESET, "reboot skipped: XID 48 on GPU 0 outlives a reboot"];
    expect(outlives({ hold: "until_replaced" })).toEqual(beyond);
    expect(outlives({ action: "replace" })).toEqual(beyond);
    expect(outlives({ action: "replace", hold: "until_replaced" })).toEqual(beyond);
    expect(
      skipped(
        marked({}, {}, [heldOf(), heldOf({ result: "degraded", action: "replace" }, { code: 63 })]),
      ),
    ).toEqual([RESET]);
    const tried = (reboot: number) =>
      marked({ session: sessionOf({ attempts: { reboot } }), rebootedAt: NOW - HOUR });
    expect(skipped(tried(1))).toEqual([RESET]);
    expect(skipped(tried(2))).toEqual([RESET, "reboot skipped: 2 reboots did not cure it"]);
  });

  test("passes it over where the fault is back within a day of one", () => {
    const back = (ms: number, over = {}) =>
      marked({ session: sessionOf({ openedAt: NOW, ...over }), rebootedAt: NOW - ms });
    const relapsed = "reboot skipped: it was rebooted less than a day ago and is sick again";
    expect(skipped(back(24 * HOUR - 1))).toEqual([RESET, relapsed]);
    expect(skipped(back(24 * HOUR))).toEqual([RESET]);
    expect(skipped(back(HOUR, { attempts: { reboot: 1 } }))).toEqual([RESET]);
    expect(skipped(marked({ session: null, rebootedAt: NOW - HOUR }))).toEqual([RESET]);
  });

  test("rests half an hour between two", () => {
    const again = (ms: number) =>
      marked({ session: sessionOf({ attempts: { reboot: 1 } }), rebootedAt: NOW - ms });
    expect(ask(again(30 * MIN - 1), ladder).wait).toEqual({
      reason: "backoff",
      message: "the last reboot did not cure it; the next one waits",
      until: NOW + 1,
    });
    expect(stepOf(again(30 * MIN), ladder)).toBe("drain repair");
    const first = marked({ session: sessionOf(), rebootedAt: null });
    expect(stepOf(first, ladder)).toBe("drain repair");
    const unknown = marked({ session: sessionOf({ attempts: { reboot: 1 } }), rebootedAt: null });
    expect(stepOf(unknown, ladder)).toBe("drain repair");
  });

  test("needs no room for a replacement, and ends without one", () => {
    const spend = { perHourMax: null, perMonthMax: null, instancesMax: 0 };
    expect(stepOf(marked(), { pool: { ...bottom.pool, spend } })).toBe("drain repair");
    expect(waitOf(marked(), { ...bottom, sight: { fake: { canReboot: false } } })).toBe(
      "human: the ladder of pool p ends without replacement (reboot skipped: the provider does not reboot machines)",
    );
    expect(waitOf(marked(), { ...bottom, ...FROZEN })).toBe(
      "human: the fleet is frozen: move (ann)",
    );
  });
});

describe("repairing", () => {
  const BOOT = { kind: "repairing", rung: "reboot", bootId: "boot-0" } as const;
  const rebooting = (
    over: Partial<Node> = {},
    health: Partial<Health> = {},
    agoMs = MIN,
    bootId = "boot-0",
  ) => marked({ phase: { ...BOOT, since: NOW - agoMs, bootId }, ...over }, health);
  const wellSince = { verdict: "healthy", held: [], lastCheckAt: NOW - 1 } as const;

  test("waits for another boot, then for its check", () => {
    expect(ask(rebooting({}, {}, MIN, "boot-1")).wait).toEqual({
      reason: "boot",
      message: "it is rebooting",
      until: NOW + 19 * MIN,
    });
    expect(ask(rebooting({ agent: null })).wait?.message).toBe("it is rebooting");
    expect(ask(rebooting()).wait?.message).toBe("rebooted; its first full check is open");
    const stale = { ...wellSince, lastCheckAt: NOW - MIN } as const;
    expect(ask(rebooting({}, stale as never)).wait?.message).toBe(
      "rebooted; its first full check is open",
    );
  });

  test("is well, or still sick, by a check under the new boot", () => {
    expect(stepOf(rebooting({}, wellSince as never))).toBe("uncordon");
    expect(stepOf(rebooting({}, { ...wellSince, verdict: "degraded" } as never))).toBe("uncordon");
    expect(stepOf(rebooting({}, wellSince as never, MIN, "boot-1"))).toBeNull();
    expect(ask(rebooting({}, { lastCheckAt: NOW - 1 })).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: { kind: "suspect", since: NOW },
      event: "node.suspect",
      because: ["still unhealthy after its reboot"],
      session: null,
    });
    const unknown = rebooting({}, { verdict: "unknown", held: [], lastCheckAt: NOW - 1 });
    expect(ask(unknown).action).toMatchObject({ because: ["still unknown after its reboot"] });
  });

  test("is given up after twenty minutes", () => {
    const late = (agoMs: number, bootId = "boot-1", sight = {}) =>
      ask(rebooting({}, {}, agoMs, bootId), { sight });
    expect(late(20 * MIN - 1).action).toBeUndefined();
    expect(late(20 * MIN).action).toMatchObject({
      to: { kind: "suspect", since: NOW },
      event: "node.suspect",
      because: ["no new boot within 20 min of its reboot"],
    });
    expect(late(20 * MIN, "boot-0").action).toMatchObject({
      because: ["no full check within 20 min of its reboot"],
    });
    expect(late(20 * MIN, "boot-1", { attentiveMs: 20 * MIN - 1 }).action).toBeUndefined();
  });

  test("a machine on its way down may be shown as stopped, until it is late", () => {
    const down = (over: object, agoMs = MIN) =>
      stepOf(rebooting({ instance: instanceOf(over) }, { silentSince: NOW - 1 }, agoMs, "boot-1"));
    expect(down({ state: "stopped" })).toBeNull();
    expect(down({ state: "stopped" }, 20 * MIN)).toBe("terminating lost");
    expect(down({ absentSince: NOW - HOUR, absentListings: 9 })).toBeNull();
    expect(down({ absentSince: NOW - HOUR, absentListings: 9 }, 20 * MIN)).toBe("terminating lost");
    expect(down({ state: "terminated" })).toBe("terminating lost");
    expect(
      stepOf(rebooting({ instance: instanceOf({ state: "terminated" }) }, {}, MIN, "boot-1")),
    ).toBeNull();
    expect(stepOf(rebooting({ order: orderOf("drain") }))).toBe("drain operator");
  });
});

describe("recovery", () => {
  const well = (over: Partial<Node> = {}, health: Partial<Health> = {}) =>
    sick(
      { session: sessionOf({ openedAt: NOW - MIN }), ...over },
      { verdict: "healthy", held: [], lastCheckAt: NOW - MIN, ...health },
      [],
    );
  const wellOf = (over: Partial<Node> = {}, health: Partial<Health> = {}) => {
    const node = well(over);
    return withHealth(node, { verdict: "healthy", held: [], lastCheckAt: NOW - MIN, ...health });
  };

  test("lifts its own cordon first, then closes the session", () => {
    expect(ask(wellOf({ cordon: OURS })).action).toEqual({
      kind: "effect",
      node: "n" as NodeId,
      payload: { kind: "uncordon", why: "recovered", keep: false },
      because: ["every held finding is cleared"],
    });
    const both = {
      cordon: { ...OURS, human: THEIRS.human },
      kube: kubeOf({ isolatedUid: "uid-1" }),
    };
    expect(ask(wellOf(both)).action).toMatchObject({ payload: { keep: true } });
    expect(ask(wellOf()).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: { kind: "serving", since: NOW },
      event: "node.recovered",
      because: ["every held finding is cleared"],
      session: "recovered",
    });
    expect(stepOf(wellOf({}, { verdict: "degraded" }))).toBe("serving");
    expect(stepOf(wellOf({}, { verdict: "unknown" }))).toBeNull();
  });

  test("waits for one full check since the session opened", () => {
    const said = "boot: recovered; waits for one full check to confirm it";
    expect(waitOf(wellOf({}, { lastCheckAt: null }))).toBe(said);
    expect(waitOf(wellOf({}, { lastCheckAt: NOW - MIN - 1 }))).toBe(said);
    expect(stepOf(wellOf({ session: null }, { lastCheckAt: 0 }))).toBe("serving");
    expect(waitOf(wellOf(HOLD), KUBE)).toBe(KEPT);
  });

  test("puts nothing into service that the cloud shows as ending", () => {
    const instance = instanceOf({ state: "terminating" });
    for (const cordon of [OURS, {}] as Partial<Node["cordon"]>[]) {
      const ending = wellOf({ instance, cordon: { product: null, human: null, ...cordon } });
      expect(waitOf(ending)).toBe(
        "second_witness: instance i-1 is being ended by someone else, but its agent reports: " +
          "the cloud is not trusted",
      );
    }
  });

  test("closes as quarantined where a rule was only suspended", () => {
    const aside = { aside: [heldOf()] };
    const quarantine: Fact = { kind: "quarantine", rule: "r@v1", at: 0, why: "" };
    const how = (facts: Fact[]) => {
      const { action } = ask(wellOf({}, aside), { facts });
      return action?.kind === "advance" ? action.session : null;
    };
    expect(how([quarantine])).toBe("quarantined");
    expect(how([{ ...quarantine, rule: "r@v2" }])).toBe("recovered");
    expect(how([])).toBe("recovered");
  });
});

describe("surge", () => {
  const surge: Setting = { pool: { replacement: "surge" }, state: { nextGen: 7 } };
  const other = (id: string, phase: Phase, over: Partial<Node> = {}) =>
    nodeOf(id, { gen: 7, phase, ...over });

  test("orders the new one first", () => {
    const plan = planOf([marked()], surge);
    const [admit, advance] = plan.actions;
    expect(admit).toEqual({
      kind: "admit",
      node: "f-p-0-7" as NodeId,
      pool: "p" as never,
      slot: 0,
      gen: 7,
      replaces: "n" as NodeId,
      because: ["replacement for n before it is drained (surge)"],
    });
    expect(advance).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: { kind: "replacing", since: NOW, replacement: "f-p-0-7" as NodeId },
      event: "node.replacing",
      because: ["XID 48 on GPU 0"],
      session: null,
    });
    const second = {
      ...marked({ slot: 1, session: sessionOf({ openedAt: 5 }) }),
      id: "o" as NodeId,
    };
    const admitted = planOf([marked(), second], surge).actions.flatMap((a) =>
      a.kind === "admit" ? [a.node] : [],
    );
    expect(admitted.slice(0, 2).map(String)).toEqual(["f-p-0-7", "f-p-1-8"]);
  });

  test("waits for its slot", () => {
    expect(
      waitOf(marked(), { ...surge, others: [other("m", { kind: "booting", since: NOW })] }),
    ).toBe("replacement: slot 0 still has m, which is booting");
    expect(waitOf(marked({ slot: null }), surge)).toBe("not_ours: no slot to fill");
  });

  const pair = (over: Partial<Node> = {}, health: Partial<Health> = {}) =>
    marked({ phase: { kind: "replacing", since: 0, replacement: "m" as NodeId }, ...over }, health);
  const comes = (phase: Phase) => ({
    ...surge,
    others: [other("m", phase, { replaces: "n" as NodeId })],
  });
  const serves = comes({ kind: "serving", since: 0 });

  test("drains the old one when the new one serves", () => {
    expect(ask(pair(), serves).action).toMatchObject({
      payload: { kind: "drain", purpose: "replace" },
      because: ["m is verified and takes its place"],
    });
    expect(waitOf(pair(), comes({ kind: "booting", since: NOW }))).toBe(
      "replacement: m is booting; this node is unhealthy",
    );
    expect(waitOf(pair(), { ...serves, ...BLIND })).toBe("blind: dark; far");
    expect(waitOf(pair(), { ...serves, ...FROZEN })).toBe("human: the fleet is frozen: move (ann)");
    const theirs = { cordon: { ...OURS, human: THEIRS.human } };
    expect(waitOf(pair(theirs), serves)).toBe(
      "human: cordoned by human:ann: uncordon it, or order its replacement",
    );
    expect(stepOf(pair({ ...theirs, order: orderOf("replace") }), serves)).toBe("drain replace");
  });

  test("is over when the new one does not come up, or the old one is well", () => {
    expect(waitOf(pair(), comes(endingOf("failed")))).toBe(
      "confirmation: its replacement m did not come up and is being ended",
    );
    const failed = {
      to: { kind: "suspect", since: NOW },
      event: "node.suspect",
      because: ["its replacement m did not come up"],
    };
    expect(ask(pair(), comes(goneOf("failed"))).action).toMatchObject(failed);
    expect(ask(pair(), surge).action).toMatchObject(failed);
    const recovered = { verdict: "healthy", held: [] } as const;
    const booting = comes({ kind: "booting", since: NOW });
    expect(ask(pair({}, recovered as never), booting).action).toMatchObject({
      to: { kind: "suspect", since: NOW },
      event: "node.recovered",
      because: ["recovered before the drain ended: the repair is cancelled"],
    });
    expect(stepOf(pair({}, { ...recovered, verdict: "degraded" } as never), booting)).toBe(
      "suspect",
    );
    expect(stepOf(pair({ order: orderOf("replace") }, recovered as never), booting)).toBeNull();
  });

  test("drains the old one also when the new one, once verified, failed meanwhile", () => {
    const failed = comes({ kind: "suspect", since: NOW });
    expect(ask(pair(), failed).action).toMatchObject({
      payload: { kind: "drain", purpose: "replace" },
      because: ["m was verified and takes its place, and is suspect itself since"],
    });
    expect(
      stepOf(pair(), comes({ kind: "held", since: NOW, heldBy: "human:ann", why: "mine" })),
    ).toBeNull();
    // Neither waits for the other.
    const plan = planOf(
      [pair(), marked({ id: "m" as NodeId, gen: 7, replaces: "n" as NodeId })],
      surge,
    );
    const toldOf = (id: string) => [
      ...plan.actions.filter(({ node }) => node === id).map(({ kind }) => kind),
      ...plan.waits.filter(({ node }) => node === id).map(({ message }) => message),
    ];
    expect(toldOf("n")).toEqual(["effect"]);
    expect(toldOf("m")).toEqual(["slot 0 still has n, which is replacing"]);
  });

  test("is cut short by a forced order, or a loss", () => {
    expect(stepOf(pair({ order: orderOf("terminate", { force: true }) }), serves)).toBe(
      "terminating operator",
    );
    expect(
      stepOf(pair({ order: orderOf("terminate") }), comes({ kind: "booting", since: NOW })),
    ).toBeNull();
    const gone = { instance: instanceOf({ state: "terminated", id: "i-9" as InstanceId }) };
    expect(stepOf(pair(gone, { silentSince: 1 }), serves)).toBe("terminating lost");
    expect(stepOf(pair(gone), comes({ kind: "booting", since: NOW }))).toBeNull();
  });
});

describe("what any node waits for", () => {
  test("its open operation", () => {
    const node = serving({ operation: "n.1.drain" as OperationId });
    expect(waitOf(node)).toBe("operation: n.1.drain");
  });

  test("its rest, with the words of the API server where it was that", () => {
    expect(ask(serving({ restUntil: NOW + 5 })).wait).toEqual({
      reason: "backoff",
      message: "the last effect on it was refused",
      until: NOW + 5,
    });
    const refusal = (at: number) =>
      ({ what: "cordon", message: "denied by policy", at, since: at }) as never;
    const kube = (at: number) =>
      serving({ restUntil: NOW + 5, kube: kubeOf({ refusal: refusal(at) }) });
    expect(waitOf(kube(NOW - 599_999))).toBe(
      "backoff: Kubernetes does not cordon it: denied by policy",
    );
    expect(waitOf(kube(NOW - 600_000))).toBe("backoff: the last effect on it was refused");
    expect(ask(serving({ restUntil: NOW }))).toEqual({ action: undefined, wait: undefined });
  });

  test("a person's hold, unless that person orders more", () => {
    const held = serving({ phase: { kind: "held", since: 0, heldBy: "ann", why: "look" } });
    expect(waitOf(held)).toBe("human: held by ann: look");
    expect(stepOf({ ...held, order: orderOf("replace") })).toBe("drain replace");
    expect(waitOf({ ...held, order: orderOf("drain") })).toBe("human: held by ann: look");
  });
});
