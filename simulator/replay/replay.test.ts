/** Saved activations are decided again as they were, and another rule shows. */
import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Config } from "../../schema/config.ts";
import { saveActivations } from "../../reconciler/http/view/activation.ts";
import { decideActivation } from "../../reconciler/core/decide/activation.ts";
import { UnitOfWork, mirrorChange, newMirror } from "../../reconciler/core/unit-of-work.ts";
import type { Fleet, Sight } from "../../reconciler/core/fleet.ts";
import { emptyChange } from "../../reconciler/core/store.ts";
import { type Activation, Recorder } from "../../reconciler/runtime/recorder.ts";
import { anyNodes, AROUND, fleetOfPool, SIZE } from "../../test/world/any-fleet.ts";
import { kubeSightOf, sightOf, type View } from "../../test/world/ask.ts";
import { kubeOf, nodeOf, sickOf } from "../../test/world/part.ts";
import { closeWorlds, fleet as openFleet, threshold } from "../../test/world/story.ts";
import { configOf, poolYaml } from "../../test/world/setting.ts";
import { BadFile, readSaved } from "./read.ts";
import { type Difference, replayActivation } from "./replay.ts";

afterAll(closeWorlds);

const CONFIG = configOf(poolYaml(SIZE, "    health: { unhealthy_threshold: 2 }\n"));

function record(from: Fleet, config: Config, sight: Sight, acts = true): Activation[] {
  const mirror = newMirror();
  const [nodes, pools] = [[...from.nodes.values()], [...from.pools.values()]];
  mirrorChange(mirror, { ...emptyChange(), nodes, pools });
  const bench = {
    fleet: (): Fleet => ({ ...from, ...mirror }),
    work: () => new UnitOfWork(mirror),
    stage(work: UnitOfWork) {
      const change = work.finish();
      if (change !== null) mirrorChange(mirror, change);
    },
  };
  const recorder = new Recorder();
  const done = recorder.begin(bench.fleet(), sight, acts);
  done({ kind: "decided", rounds: decideActivation(bench, config, sight, acts) });
  return recorder.last(1);
}

const linesOf = (activations: readonly Activation[], config: Config): string[] =>
  [...saveActivations(activations, config, AROUND)].join("").trimEnd().split("\n");

function replay(lines: readonly string[]): Difference[] {
  let config: Config | null = null;
  const differences: Difference[] = [];
  for (const read of readSaved("f.jsonl", lines)) {
    if (read.kind === "header") config = read.header.config;
    else if (config !== null) {
      differences.push(...replayActivation(read.saved, read.nodes, config));
    }
  }
  return differences;
}

/** Everything that a sight may hold, so that each part of it goes through the file. */
const WHOLE: View = {
  utilization: new Map([["fleet-p-0-1" as never, 12.5]]),
  kube: kubeSightOf({ ambiguous: new Map([["fleet-p-1-2" as never, "two objects"]]) }),
  keys: new Map([
    ["/k", null],
    ["/bad", "/bad: no"],
  ]),
  fake: {
    offers: new Map([
      ["fake///h100-8x", { pricePerHour: 2.5, available: true, availableSince: 7, seenAt: 9 }],
    ]),
    trouble: "no capacity",
  },
};

describe("value → file → value", () => {
  test("decides the same, whatever the fleet looks like", () => {
    let acted = 0;
    fc.assert(
      fc.property(
        anyNodes,
        fc.integer({ min: 0, max: 6 }),
        fc.constantFrom<View>({}, WHOLE, { blind: ["paused"] }, { frozen: "night (ann)" }),
        fc.constantFrom<View["left"]>(
          { kind: "busy", remaining: 2, message: "2 left", deadlineAt: AROUND + 5, paused: true },
          { kind: "empty", seenAt: Number.POSITIVE_INFINITY },
          { kind: "dark", message: "no answer" },
        ),
        fc.boolean(),
        (list, desired, view, left, hasCluster) => {
          const nodes = hasCluster ? list.map((node) => ({ ...node, kube: kubeOf() })) : list;
          const work = new Map(nodes.map(({ id }) => [id, left] as const));
          const sight = sightOf({ now: AROUND, attentiveMs: 3_600_000, ...view, work } as View);
          const saved = record(fleetOfPool(nodes, desired), CONFIG, sight);
          acted += saved[0]?.decided.kind === "decided" ? saved[0].decided.rounds.length : 0;
          expect(replay(linesOf(saved, CONFIG))).toEqual([]);
        },
      ),
      { numRuns: 500 },
    );
    expect(acted).toBeGreaterThan(600);
  });

  test("decides the same through the life of a fault, and without acting", async () => {
    const world = await openFleet(3, threshold(2));
    const [sick = ""] = world.serving();
    world.xid(sick, 79);
    await world.live(120);
    const activations = world.reconciler.activations(64);
    const rounds = activations.flatMap(({ decided }) =>
      decided.kind === "decided" ? decided.rounds : [],
    );
    const kinds = rounds.flatMap(({ plan }) => plan.actions.map(({ kind }) => kind));
    expect(new Set(kinds)).toEqual(new Set(["admit", "advance", "effect"]));
    expect(replay(linesOf(activations, world.reconciler.activeConfig()))).toEqual([]);
    const shown = record(fleetOfPool([sickOf("n")]), CONFIG, sightOf(), false);
    expect(replay(linesOf(shown, CONFIG))).toEqual([]);
  });
});

describe("replayActivation()", () => {
  const sick = sickOf("n", { phase: { kind: "serving", since: 0 }, session: null });
  const counted = { ...sick, health: { ...sick.health, unhealthyRun: 1 } };
  const fleet = fleetOfPool([counted], 1);

  /** As if the program that saved it had another threshold built in. */
  test("shows what another rule decides otherwise, by node", () => {
    const one = configOf(poolYaml(1, "    health: { unhealthy_threshold: 1 }\n"));
    const two = configOf(poolYaml(1, "    health: { unhealthy_threshold: 2 }\n"));
    const saved = record(fleet, one, sightOf());
    expect(replay(linesOf(saved, one))).toEqual([]);
    const differences = replay(linesOf(saved, two));
    const [{ saved: was = [], now: is = [], ...where } = {}] = differences;
    expect(where).toEqual({ round: 2, subject: "node n" });
    expect(was).toMatchObject([{ kind: "action", what: { payload: { kind: "cordon" } } }]);
    expect(is).toMatchObject([{ kind: "wait", what: { reason: "threshold" } }]);
    expect(differences).toHaveLength(1);
  });

  test("shows an action that was not saved, and one that is no more", () => {
    const saved = record(fleetOfPool([], 2), CONFIG, sightOf());
    const lines = linesOf(saved, CONFIG).map((line) =>
      line.replace(/("actions":\[)\{"kind":"admit".*?\},?(?=\{|\])/, "$1"),
    );
    const differences = replay(lines);
    expect(differences.map(({ saved }) => saved)).toEqual([[]]);
    expect(differences[0]?.now).toMatchObject([{ kind: "action", what: { kind: "admit" } }]);
  });

  test("shows where a plan was made that failed before", () => {
    const [activation] = record(fleet, CONFIG, sightOf());
    if (activation === undefined) throw new Error("nothing was recorded");
    const failed = { ...activation, decided: { kind: "failed", message: "odd" } as const };
    expect(replay(linesOf([failed], CONFIG))).toMatchObject([
      { round: null, subject: "activation", saved: [{ kind: "failed", what: { message: "odd" } }] },
    ]);
  });
});

describe("readSaved()", () => {
  const saved = record(fleetOfPool([nodeOf("n")], 1), CONFIG, sightOf());
  const good = linesOf(saved, CONFIG);
  const told = (lines: readonly string[]): string => {
    try {
      replay(lines);
      return "";
    } catch (error) {
      if (error instanceof BadFile) return error.message;
      throw error;
    }
  };
  const edited = (at: number, edit: (line: string) => string): string[] =>
    good.map((line, index) => (index === at ? edit(line) : line));

  test.each<[string, string[], RegExp]>([
    ["an empty file", [], /^f\.jsonl: the file is empty$/],
    ["no JSON", ["{"], /^f\.jsonl:1: expected one JSON document on a line$/],
    ["another file", ['{"a":1}'], /^f\.jsonl:1: kind: expected "navarch\.activations": is this /],
    [
      "a later format",
      edited(0, (l) => l.replace('"format":1', '"format":2')),
      /:1: format: expected format 1$/,
    ],
    [
      "a node that is none",
      edited(1, (l) => l.replace('"kind":"serving"', '"kind":"x"')),
      /^f\.jsonl:2: node\.phase\.kind: /,
    ],
    ["a node too few", good.filter((_, at) => at !== 1), /:2: nodes: 0 of 0 node lines before it$/],
    ["a wrong sight", edited(2, (l) => l.replace('"now":', '"then":')), /:3: sight\.now: /],
    ["a file that was cut", good.slice(0, -1), /:3: the file ends early: save it again$/],
    [
      "an activation too few",
      good.toSpliced(2, 1),
      /:3: activations: 1 were saved, and 0 are here$/,
    ],
    ["something after the end", [...good, "{}"], /:5: expected nothing after the last line$/],
  ])("tells of %s", (_what, lines, expected) => {
    expect(told(good)).toBe("");
    expect(told(lines)).toMatch(expected);
  });
});
