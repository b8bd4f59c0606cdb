/** What a pool does about missing nodes, and what it says where it can do nothing. */
import { describe, expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import { alike } from "../../../test/world/alike.ts";
import {
  drainingOf,
  endingOf,
  goneOf,
  NOW,
  planOf,
  poolOf,
  providerSightOf,
  type Setting,
} from "../../../test/world/ask.ts";
import { nodeOf, unboughtOf } from "../../../test/world/part.ts";

const at = (id: string, slot: number, over: Partial<Node> = {}) => nodeOf(id, { slot, ...over });
const admits = (nodes: Node[], setting: Setting = {}) =>
  planOf(nodes, setting).actions.flatMap((action) => (action.kind === "admit" ? [action] : []));
const slots = (nodes: Node[], setting: Setting = {}) =>
  admits(nodes, setting).map(({ slot }) => slot);
const waits = (nodes: Node[], setting: Setting = {}) =>
  planOf(nodes, setting)
    .waits.filter((wait) => wait.node === null)
    .map(({ reason, message, until }) => [reason, message, until]);

describe("missing nodes", () => {
  test("are admitted into the lowest free slots, each with a generation of its own", () => {
    const found = admits([at("a", 1)], { desired: 3, state: { nextGen: 7 } });
    expect(found).toEqual([
      {
        kind: "admit",
        node: "f-p-0-7" as never,
        pool: "p" as never,
        slot: 0,
        gen: 7,
        replaces: null,
        because: ["pool p wants 3 nodes"],
      },
      {
        kind: "admit",
        node: "f-p-2-8" as never,
        pool: "p" as never,
        slot: 2,
        gen: 8,
        replaces: null,
        because: ["pool p wants 3 nodes"],
      },
    ]);
    expect(slots([], { desired: 0 })).toEqual([]);
    expect(slots([at("a", 0), at("b", 1)], { desired: 2 })).toEqual([]);
  });

  test("are the unfilled slots: one that is given up is live, and not filled", () => {
    const leaving = (phase: Node["phase"]) =>
      slots([at("a", 0, { phase }), at("b", 1)], { desired: 2 });
    expect(leaving(drainingOf({ purpose: "scale_down" }))).toEqual([2]);
    expect(leaving(endingOf("surplus"))).toEqual([2]);
    expect(leaving(endingOf("replace"))).toEqual([]);
    expect(leaving(drainingOf({ purpose: "operator" }))).toEqual([]);
    expect(leaving(goneOf("replace"))).toEqual([0]);
  });

  test("are not unmanaged ones, in a pool that is made of them", () => {
    const own = { pool: { adopt: true }, desired: 2 };
    expect(slots([unboughtOf("u")], own)).toEqual([0]);
    expect(slots([unboughtOf("u"), unboughtOf("v")], own)).toEqual([]);
    expect(slots([unboughtOf("u"), unboughtOf("v")], { desired: 2 })).toEqual([0, 1]);
    expect(slots([unboughtOf("u", { phase: drainingOf({ purpose: "scale_down" }) })], own)).toEqual(
      [0, 1],
    );
  });

  test("are fifty in one plan at most", () => {
    const scaling = { ...poolOf().scaling, maxNodes: 99 };
    expect(slots([], { desired: 50, pool: { scaling } })).toHaveLength(50);
    expect(slots([], { desired: 60, pool: { scaling } })).toHaveLength(50);
  });

  test.each([
    ["replace", "g"],
    ["lost", "g"],
    ["operator", "g"],
    ["scale_down", null],
    ["surplus", null],
    ["failed", "before"],
    ["lemon", "before"],
  ] as const)("take the place of one that left for %s: %p", (purpose, before) => {
    const left = at("g", 0, { gen: 5, phase: goneOf(purpose), replaces: "before" as never });
    const [admit] = admits([left], { desired: 1 });
    expect<string | null>(admit?.replaces ?? null).toBe(before);
    const said = before === null ? "pool p wants 1 nodes" : `takes the place of ${before}`;
    expect(admit?.because).toEqual([said]);
  });

  test("take the place of the last one that left the slot", () => {
    const gone = (id: string, gen: number, slot = 0, pool = "p") =>
      at(id, slot, { gen, pool: pool as never, phase: goneOf("replace") });
    const before = (nodes: Node[]) => admits(nodes, { desired: 1 })[0]?.replaces;
    expect<string | null | undefined>(before([gone("a", 1), gone("b", 2)])).toBe("b");
    expect<string | null | undefined>(before([gone("b", 2), gone("a", 1)])).toBe("b");
    expect(before([gone("a", 1, 1), gone("b", 2, 0, "q")])).toBeNull();
  });
});

describe("nothing is admitted", () => {
  test.each<[string, Setting, (string | number | null)[]]>([
    [
      "in a freeze",
      { sight: { frozen: "move (ann)" } },
      ["human", "the fleet is frozen: move (ann)", null],
    ],
    [
      "while the pool is held",
      { state: { hold: { by: "ann", why: "test", until: NOW + 1 } } },
      ["human", "pool p is held by ann: test", NOW + 1],
    ],
    [
      "without a provider",
      { pool: { providers: [] } },
      ["provider", "2 nodes are missing, and the pool names no provider to buy them at", null],
    ],
    [
      "before the provider was listed",
      { sight: { fake: { listed: false } } },
      [
        "provider",
        "2 nodes are missing, but what exists at the providers is not known: not listed yet",
        null,
      ],
    ],
    [
      "where the provider is not known",
      { sight: { providers: new Map() } },
      [
        "provider",
        "2 nodes are missing, but what exists at the providers is not known: not listed yet",
        null,
      ],
    ],
  ])("%s", (_, setting, wait) => {
    expect(slots([], { desired: 2, ...setting })).toEqual([]);
    expect(waits([], { desired: 2, ...setting })).toEqual([wait]);
    expect(waits([], { desired: 0, ...setting })).toEqual([]);
  });

  test("until a hold is over", () => {
    expect(slots([], { desired: 1, state: { hold: { by: "ann", why: "", until: NOW } } })).toEqual([
      0,
    ]);
  });

  test("where one of several providers is listed, it goes on", () => {
    const [ref] = poolOf().providers;
    if (ref === undefined) throw new Error("no provider");
    const providers = [{ ...ref, name: "other" as never }, ref];
    expect(slots([], { desired: 1, pool: { providers } })).toEqual([0]);
    const sights = new Map([
      ["fake", providerSightOf({ listed: false })],
      ["other", providerSightOf({ listed: false, unavailable: "no key" })],
    ]);
    expect(waits([], { desired: 1, pool: { providers }, sight: { providers: sights } })).toEqual([
      ["provider", "provider other: nothing can be bought there: no key", null],
      [
        "provider",
        "1 node is missing, but what exists at the providers is not known: no key; not listed yet",
        null,
      ],
    ]);
  });

  test("over a node whose agent reports and that no list shows", () => {
    const early = unboughtOf("f-p-0-1", { pool: null });
    const plan = { desired: 2, state: { nextGen: 1 } };
    expect(slots([early], plan)).toEqual([]);
    expect(waits([early], plan)).toEqual([
      ["provider", "the agent of f-p-0-1 reports, but no list shows its machine", null],
    ]);
  });
});

describe("what is in the way of its providers is said, also where nothing is missing", () => {
  test("trouble with machines, and trouble with buying", () => {
    expect(waits([], { desired: 0, sight: { fake: { trouble: "i-1 does not start" } } })).toEqual([
      ["provider", "provider fake: i-1 does not start", null],
    ]);
    expect(waits([], { desired: 0, sight: { fake: { unavailable: "no key" } } })).toEqual([
      ["provider", "provider fake: nothing can be bought there: no key", null],
    ]);
  });

  test("a key that cannot be used", () => {
    const bootstrap = { ...poolOf().bootstrap, setupCommands: ["x"], sshPrivateKeyPath: "/k" };
    const with_ = (problem: string | undefined, desired: number): Setting => ({
      desired,
      pool: { bootstrap },
      sight: { fake: { bringsAgent: false }, keys: alike(problem) },
    });
    const said = ["bootstrap", "no machine can be set up: /k: none", null];
    expect(waits([], with_("/k: none", 0))).toEqual([said]);
    expect(waits([], with_("/k: none", 2))).toEqual([said]);
    expect(slots([], with_("/k: none", 2))).toEqual([]);
    expect(waits([], with_(undefined, 2))).toEqual([
      ["bootstrap", "2 nodes are missing, and nothing is bought: /k is being read", null],
    ]);
    expect(waits([], with_(undefined, 0))).toEqual([]);
    const [ref] = poolOf().providers;
    if (ref === undefined) throw new Error("no provider");
    const two = with_("/k: none", 1);
    const providers = new Map([
      ["fake", providerSightOf({ bringsAgent: false })],
      ["own", providerSightOf()],
    ]);
    const both: Setting = {
      ...two,
      pool: { bootstrap, providers: [ref, { ...ref, name: "own" as never }] },
      sight: { ...two.sight, providers },
    };
    expect(slots([], both)).toEqual([0]);
  });
});
