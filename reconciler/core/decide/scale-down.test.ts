/** Which nodes a smaller pool gives up: the easiest to spare, and never more than the excess. */
import { describe, expect, test } from "bun:test";
import type { CordonCause } from "../../../schema/cordon.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import {
  drainingOf,
  endingOf,
  goneOf,
  NOW,
  orderOf,
  sightOf,
  THEIRS,
} from "../../../test/world/ask.ts";
import { heldOf, nodeOf, sickOf, unboughtOf } from "../../../test/world/part.ts";
import type { DrainSight } from "../fleet.ts";
import { candidatesOf } from "../scaling/candidate.ts";

const at = (id: string, slot: number, over: Partial<Node> = {}) => nodeOf(id, { slot, ...over });
const phases = (phase: Phase, over: Partial<Node> = {}) => ({ phase, ...over });
const marked = (cause: CordonCause, why = "") => {
  return { cordon: { product: { by: "navarch", why, at: 1, cause }, human: null } };
};
type Options = {
  busy?: string[];
  unknown?: string[];
  /** Free in Slurm, and not drained. */
  free?: string[];
  load?: Record<string, number>;
  sparesBusy?: boolean;
  wantedAt?: number;
  takesUnbought?: boolean;
  dearestFirst?: boolean;
  sparesComing?: { max: number; verifyMs: number };
};
function candidates(nodes: Node[], desired: number, options: Options = {}): string[] {
  const left = ({ id }: Node): DrainSight => {
    if (options.busy?.includes(id)) return { kind: "busy", remaining: 1, message: "" };
    if (options.free?.includes(id)) return { kind: "dark", message: "", idle: true };
    if (options.unknown?.includes(id)) return { kind: "unknown", forMs: 0 };
    return { kind: "empty", seenAt: NOW };
  };
  const work = new Map(nodes.map((node) => [node.id, left(node)]));
  const utilization = new Map(Object.entries(options.load ?? {}) as [NodeId, number][]);
  const sight = sightOf({ work, utilization });
  return [...candidatesOf(nodes, desired, sight, options)];
}
const requested: Phase = { kind: "requested", since: 0, attempt: 1, notBefore: 0, refusal: null };

describe("in Slurm", () => {
  const three = [at("a", 0), at("b", 1), at("c", 2)];
  const options = { busy: ["a", "c"], free: ["b"], load: { a: 0, b: 100, c: 0 } };
  test("a free node leaves before those with jobs, and alone where those stay", () => {
    expect(candidates(three, 2, options)).toEqual(["b"]);
    expect(candidates(three, 1, { ...options, sparesBusy: true })).toEqual(["b"]);
  });
});

describe("how many", () => {
  const three = [at("a", 0), at("b", 1), at("c", 2)];
  test("is the excess, of those that count", () => {
    expect(candidates(three, 3)).toEqual([]);
    expect(candidates(three, 4)).toEqual([]);
    expect(candidates(three, 2)).toEqual(["a"]);
    expect(candidates(three, 0)).toEqual(["a", "b", "c"]);
  });

  test("leaves out what leaves already, or is a person's", () => {
    const leaving = (phase: Phase) => candidates([...three, at("d", 3, { phase })], 2);
    expect(leaving(drainingOf({ purpose: "scale_down" }))).toEqual(["a"]);
    expect(leaving(drainingOf({ purpose: "surplus" }))).toEqual(["a"]);
    expect(leaving(endingOf("scale_down"))).toEqual(["a"]);
    expect(leaving(goneOf("lost"))).toEqual(["a"]);
    expect(leaving({ kind: "held", since: 0, heldBy: "ann", why: "" })).toEqual(["a"]);
    expect(leaving(drainingOf({ purpose: "operator" }))).toEqual(["a", "b"]);
    expect(leaving(endingOf("operator"))).toEqual(["a", "b"]);
  });

  test("counts a slot once, with the pair of a surge in it", () => {
    const pair = [
      at("a", 0, { phase: { kind: "replacing", since: 0, replacement: "b" as NodeId } }),
      at("b", 0, { phase: { kind: "booting", since: 0 }, replaces: "a" as NodeId }),
    ];
    expect(candidates([...pair, at("c", 1)], 2)).toEqual([]);
    expect(candidates(pair, 0)).toEqual(["a", "b"]);
  });
});

describe("which", () => {
  /** Cheapest first; each alone before any that follows. */
  const ORDER: [string, Node][] = [
    ["named by a person", at("named", 0, marked("removed"))],
    ["marked for a smaller pool already", at("marked", 1, marked("scale_down"))],
    ["on its way out for another one", at("leaving", 2, phases(endingOf("replace")))],
    ["not bought yet", at("requested", 3, phases(requested))],
    ["cordoned by a person", at("cordoned", 4, THEIRS_CORDON())],
    ["unhealthy", at("sick", 5, { health: sickOf("x").health })],
    ["on its way in", at("booting", 6, phases({ kind: "booting", since: 0 }))],
    ["with little load", at("idle", 7)],
    ["with more load", at("loaded", 8)],
    ["with unknown load", at("unknown", 9)],
    ["with most load", at("full", 11)],
    ["busy", at("busy", 10)],
  ];
  const options = { load: { idle: 0, loaded: 40, full: 60 }, busy: ["busy"] };

  test("goes by what it would cost", () => {
    const nodes = ORDER.map(([, node]) => node).toReversed();
    for (let count = 1; count <= nodes.length; count++)
      expect(candidates(nodes, nodes.length - count, options)).toEqual(
        ORDER.slice(0, count).map(([, node]) => node.id),
      );
  });

  test("of equals is the oldest, then the first by name", () => {
    const old = at("z", 0, { createdAt: 1 });
    const [a, b] = [at("a", 1, { createdAt: 2 }), at("b", 2, { createdAt: 2 })];
    expect(candidates([b, a, old], 2)).toEqual(["z"]);
    expect(candidates([b, a, old], 1)).toEqual(["z", "a"]);
  });

  const priced = (
    id: string,
    slot: number,
    pricePerHour: number | null,
    over: Partial<Node> = {},
  ) => {
    const node = at(id, slot, over);
    return { ...node, instance: node.instance && { ...node.instance, pricePerHour } };
  };

  test("of equals is the dearest with strategy: cost, and an unknown price may be any", () => {
    const nodes = [
      priced("cheap", 0, 10),
      priced("dear", 1, 40),
      priced("mid", 2, 20),
      priced("dark", 3, null),
    ];
    const order = ["dark", "dear", "mid", "cheap"];
    for (const count of [1, 2, 3, 4]) {
      expect(candidates(nodes, 4 - count, { dearestFirst: true })).toEqual(order.slice(0, count));
    }
    expect(candidates(nodes, 2)).toEqual(["cheap", "dark"]);
  });

  test("of idle ones is the dearest, whatever load is left on them", () => {
    const nodes = [priced("cheap", 0, 10), priced("dear", 1, 40)];
    expect(candidates(nodes, 1, { dearestFirst: true, load: { cheap: 0, dear: 3 } })).toEqual([
      "dear",
    ]);
    const unknown = { dearestFirst: true, unknown: ["cheap", "dear"], load: { cheap: 0, dear: 3 } };
    expect(candidates(nodes, 1, unknown)).toEqual(["cheap"]);
  });

  test("is never the dearest before one that costs less to lose", () => {
    const dear = priced("dear", 0, 99);
    for (const first of [
      priced("x", 1, 1, marked("removed")),
      priced("x", 1, 1, marked("scale_down")),
      priced("x", 1, 1, THEIRS_CORDON()),
      priced("x", 1, 1, { health: sickOf("x").health }),
      priced("x", 1, 1, phases({ kind: "booting", since: 0 })),
    ]) {
      expect(candidates([dear, first], 1, { dearestFirst: true })).toEqual(["x"]);
    }
    expect(
      candidates([dear, priced("x", 1, 1)], 1, { dearestFirst: true, busy: ["dear"] }),
    ).toEqual(["x"]);
  });

  test("a cordoned one that is busy costs its work", () => {
    const mark = at("mark", 0, marked("scale_down"));
    const [theirs, sick] = [
      at("theirs", 1, THEIRS_CORDON()),
      at("sick", 2, { health: sickOf("x").health }),
    ];
    expect(candidates([mark, at("idle", 3)], 1, { busy: ["mark"] })).toEqual(["idle"]);
    expect(candidates([theirs, at("idle", 3)], 1, { busy: ["theirs"] })).toEqual(["idle"]);
    expect(candidates([sick, at("idle", 3)], 1, { busy: ["sick"] })).toEqual(["idle"]);
    expect(candidates([mark, theirs], 1, { busy: ["mark", "theirs"] })).toEqual(["mark"]);
    expect(candidates([at("ours", 4, marked("fault", "XID 48")), sick], 1)).toEqual(["ours"]);
  });

  test("not knowing whether it is at work counts as busy, where work may come", () => {
    const suspect = at("s", 0, phases({ kind: "suspect", since: 0 }));
    const verifying = at("v", 0, phases({ kind: "verifying", since: 0 }));
    const serving = at("w", 0);
    const other = at("z", 1);
    expect(candidates([serving, other], 1, { unknown: ["w"] })).toEqual(["z"]);
    expect(candidates([suspect, other], 1, { unknown: ["s"] })).toEqual(["s"]);
    expect(candidates([verifying, other], 1, { unknown: ["v"] })).toEqual(["v"]);
    expect(candidates([suspect, other], 1, { busy: ["s"] })).toEqual(["z"]);
    expect(candidates([verifying, other], 1, { busy: ["v"] })).toEqual(["z"]);
    const booting = at("b", 0, phases({ kind: "booting", since: 0 }));
    expect(candidates([booting, other], 1, { busy: ["b"] })).toEqual(["b"]);
    const pair = at("r", 0, phases({ kind: "replacing", since: 0, replacement: "x" as NodeId }));
    expect(candidates([pair, other], 1, { busy: ["r"] })).toEqual(["z"]);
    expect(candidates([pair, other], 1, { unknown: ["r"] })).toEqual(["r"]);
  });

  test("a size that the queue set takes idle ones only, unless named", () => {
    const busy = ["a", "b"];
    expect(candidates([at("a", 0), at("b", 1)], 0, { busy, sparesBusy: true })).toEqual([]);
    expect(candidates([at("a", 0), at("b", 1)], 0, { busy })).toEqual(["a", "b"]);
    const named = at("a", 0, marked("removed"));
    expect(candidates([named, at("b", 1)], 0, { busy, sparesBusy: true })).toEqual(["a"]);
    expect(candidates([at("a", 0), at("c", 1)], 0, { busy, sparesBusy: true })).toEqual(["c"]);
  });

  test("spares what a person took back since the size was set", () => {
    const spared = (sparedAt: number | null) =>
      candidates([at("a", 0, { sparedAt }), at("b", 1)], 1, { wantedAt: 10 });
    expect(spared(null)).toEqual(["a"]);
    expect(spared(9)).toEqual(["a"]);
    expect(spared(10)).toEqual(["b"]);
    expect(spared(11)).toEqual(["b"]);
  });

  test("none that is draining for a person", () => {
    const ordered = at("a", 0, {
      phase: drainingOf({ purpose: "replace" }),
      order: orderOf("drain"),
    });
    expect(candidates([ordered, at("b", 1)], 1)).toEqual(["b"]);
    expect(
      candidates([at("a", 0, { phase: drainingOf({ purpose: "repair" }) }), at("b", 1)], 1),
    ).toEqual(["b"]);
    expect(
      candidates(
        [
          at("a", 0, { phase: { kind: "repairing", since: 0, rung: "reboot", bootId: null } }),
          at("b", 1),
        ],
        1,
      ),
    ).toEqual(["b"]);
  });
});

describe("a slot with a node that leaves and one that comes", () => {
  const leaving = at("old", 0, { phase: endingOf("replace") });
  const next = at("new", 0, {
    gen: 1,
    phase: { kind: "booting", since: 0 },
    replaces: "old" as NodeId,
  });

  test("is not given up by the one that leaves anyway", () => {
    expect(candidates([leaving, next, at("c", 1)], 1)).toEqual(["new", "old"]);
    expect(candidates([leaving, next, at("c", 1, phases(requested))], 1)).toEqual(["c"]);
    expect(candidates([leaving, at("c", 1)], 1)).toEqual(["old"]);
  });
});

describe("a second occupant of a slot", () => {
  const first = (phase: Phase) => at("a", 0, { phase });
  const second = (over: Partial<Node> = {}) =>
    at("b", 0, { gen: 1, replaces: "a" as NodeId, phase: { kind: "booting", since: 0 }, ...over });

  test("goes where the first one stays", () => {
    expect(candidates([first({ kind: "serving", since: 0 }), second()], 4)).toEqual(["b"]);
    expect(candidates([first({ kind: "suspect", since: 0 }), second()], 4)).toEqual(["b"]);
    expect(
      candidates([first({ kind: "replacing", since: 0, replacement: "b" as NodeId }), second()], 4),
    ).toEqual([]);
    expect(candidates([first(endingOf("replace")), second()], 4)).toEqual([]);
    expect(candidates([first({ kind: "serving", since: 0 }), second({ slot: 1 })], 4)).toEqual([]);
    expect(
      candidates([first({ kind: "serving", since: 0 }), second({ replaces: null })], 4),
    ).toEqual([]);
    expect(
      candidates([first({ kind: "serving", since: 0 }), second({ phase: drainingOf() })], 4),
    ).toEqual([]);
    expect(candidates([first({ kind: "serving", since: 0 }), second(), at("c", 1)], 1)).toEqual([
      "b",
      "a",
    ]);
  });
});

describe("unmanaged machines", () => {
  const theirs = (id: string, over: Partial<Node> = {}) =>
    unboughtOf(id, { createdAt: 5, phase: { kind: "serving", since: 5 }, ...over });
  const ours = at("ours", 0);

  test("let the pool do without one that is paid for, if they were there when the size was set", () => {
    expect(candidates([ours, theirs("u")], 1, { wantedAt: 5 })).toEqual(["ours"]);
    expect(candidates([ours, theirs("u")], 1, { wantedAt: 4 })).toEqual([]);
    expect(candidates([ours, theirs("u", { pooledAt: 6 })], 1, { wantedAt: 5 })).toEqual([]);
    expect(
      candidates([ours, theirs("u", { pooledAt: 1, createdAt: 9 })], 1, { wantedAt: 5 }),
    ).toEqual(["ours"]);
    expect(
      candidates([ours, theirs("u", { phase: { kind: "serving", since: 6 } })], 1, { wantedAt: 5 }),
    ).toEqual([]);
    expect(
      candidates([ours, theirs("u", { phase: { kind: "suspect", since: 5 } })], 1, { wantedAt: 5 }),
    ).toEqual([]);
    const silent = theirs("u");
    const health = { ...silent.health, silentSince: 1 };
    expect(candidates([ours, { ...silent, health }], 1, { wantedAt: 5 })).toEqual([]);
  });

  test("leave only at a requested size, and after bought ones", () => {
    const all = [theirs("u"), theirs("v"), ours];
    expect(candidates(all, 0, { wantedAt: 5 })).toEqual(["ours"]);
    expect(candidates(all, 0, { wantedAt: 5, takesUnbought: true })).toEqual(["ours", "u", "v"]);
    expect(candidates(all, 1, { wantedAt: 5, takesUnbought: true })).toEqual(["ours", "u"]);
    expect(candidates(all, 1, { wantedAt: 5, takesUnbought: true, busy: ["u"] })).toEqual([
      "ours",
      "v",
    ]);
    expect(
      candidates([...all, at("busy", 1)], 2, { wantedAt: 5, takesUnbought: true, busy: ["busy"] }),
    ).toEqual(["ours", "busy"]);
  });
});

test("evidence that only degrades is not counted as unhealthy", () => {
  const node = sickOf("x", {}, [heldOf({ result: "degraded" })]);
  const degraded = at("d", 0, { health: { ...node.health, verdict: "degraded" } });
  expect(candidates([degraded, at("a", 1, { createdAt: -1 })], 1)).toEqual(["a"]);
});

function THEIRS_CORDON(): Partial<Node> {
  return { cordon: THEIRS };
}

describe("machines on their way up, and a size that an autoscaler set", () => {
  const coming = (id: string, slot: number, kind: "booting" | "verifying" = "booting") =>
    at(id, slot, phases({ kind, since: NOW - 60_000 }, { createdAt: NOW - slot }));
  const spare = { sparesComing: { max: 9, verifyMs: 300_000 } };

  test("stay until they have served, and nothing that serves leaves in their place", () => {
    const nodes = [at("a", 0), at("b", 1), coming("c", 2), coming("d", 3, "verifying")];
    expect(candidates(nodes, 2)).toEqual(["d", "c"]);
    expect(candidates(nodes, 2, spare)).toEqual([]);
    expect(candidates(nodes, 1, spare)).toEqual(["a"]);
    expect(candidates(nodes, 0, spare)).toEqual(["a", "b"]);
  });

  test("leave if there are more than max_nodes, as many as that", () => {
    const nodes = [at("a", 0), coming("b", 1), coming("c", 2), coming("d", 3)];
    expect(candidates(nodes, 0, { sparesComing: { max: 3, verifyMs: 0 } })).toEqual(["d", "a"]);
  });

  test("one that nothing was bought for may be cancelled, and a stuck one leaves", () => {
    const asked = at("r", 1, { phase: requested, instance: null });
    expect(candidates([at("a", 0), asked], 1, spare)).toEqual(["r"]);
    const stuck = at("v", 1, phases({ kind: "verifying", since: NOW - 300_000 }));
    expect(candidates([at("a", 0), stuck], 1, spare)).toEqual(["v"]);
  });

  test("leave if they are named", () => {
    const named = { ...coming("c", 1), ...marked("removed") };
    expect(candidates([at("a", 0), named], 1, spare)).toEqual(["c"]);
  });
});

test("words at the start of a node's own evidence choose nothing: only the cause counts", () => {
  const busy = { busy: ["victim"], sparesBusy: true };
  for (const why of ["scale down: removed by name by ann", "scale down: pool p wants 1 nodes"]) {
    const victim = at("victim", 0, marked("fault", why));
    expect(candidates([victim, at("b", 1)], 1, busy)).toEqual(["b"]);
    const old = at("victim", 0, {
      cordon: { product: { by: "navarch", why, at: 1 }, human: null },
    });
    expect(candidates([old, at("b", 1)], 1, busy)).toEqual(["b"]);
  }
});
