/**
 * YAML text → one scenario, or everything that is wrong with it. Pure on the text, bounded, and
 * never throws on bad input. Every problem names the path, what was expected, and the nearest valid
 * name where there is one; a key that nothing reads is an error.
 */
import type { Config, Problem } from "../../schema/config.ts";
import { locate, type SourceText } from "../../reconciler/config/locate.ts";
import { collectProblems, type Problems } from "../../reconciler/config/problem.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { readSection, type Section } from "../../reconciler/config/section.ts";
import { readPart } from "../../reconciler/config/table.ts";
import { readAssertions } from "./assertion.ts";
import { type ClusterSpec, readCluster } from "./cluster.ts";
import { CONFIG_KEYS, type ConfigPart, readConfigPart, readPolicyPart } from "./config.ts";
import { readEvents } from "./event.ts";
import { generateFleet } from "./generate.ts";
import { readFleetGen } from "./fleet-gen.ts";
import { baseOf, type Names, namesOf } from "./name.ts";
import { placeNodes, poolNames, readFleet } from "./node.ts";
import { openStreams } from "../engine/random.ts";
import {
  type FleetGen,
  IMPLICIT_POOL,
  type Scenario,
  type ScenarioEvent,
  type SimNode,
  type Stress,
} from "./scenario.ts";
import { readStress } from "./stress.ts";
import { SCENARIO } from "./table.ts";
import { noHome } from "./value.ts";

export type ScenarioAnswer = { scenario: Scenario | null; problems: Problem[] };

/** Reads one scenario file. `scenario` is `null` if any problem is an error. */
export function readScenario(file: SourceText): ScenarioAnswer {
  // Reported positions do not count the byte order mark.
  const source = { ...file, text: file.text.replace(/^\uFEFF/, "") };
  const problems = collectProblems([source.name]);
  const scenario = readRoot(problems, source);
  return { scenario: problems.failed() ? null : scenario, problems: problems.list() };
}

function readRoot(problems: Problems, file: SourceText): Scenario | null {
  const tree = locate(file, problems);
  if (tree === null) return null;
  const root = readSection(problems, tree, "", tree.at, noHome);
  if (tree.kind !== "map") return null;
  for (const key of [...CONFIG_KEYS, "policy"]) root.look(key);
  const { name, description } = readPart(root, SCENARIO);
  const part = readConfigPart(problems, tree, file);
  const listed = readFleet(root);
  const section = root.map("stress");
  const fleetGen = readFleetGen(section);
  const pools = poolNames(part.pools);
  const fleet = placeNodes(problems, listed, pools);
  wantFleet(root, fleet, section);
  const names = namesOf(fleet, fleetGen, part.pools, part.providers);
  const cluster = readCluster(root, part.config, pools);
  const known: Names = { ...names, pools, cluster: clusterNames(cluster) };
  const stress = readStress(section, fleetGen, known);
  const events = readEvents(root, known);
  const assertions = readAssertions(root, known);
  const policy = readPolicyPart(problems, tree, file);
  root.finish();
  warnGenerated(root, stress, fleet, events);
  const found = { fleet, events, assertions, stress, policy, cluster };
  const read = { name: name ?? "", description, ...found };
  if (part.config === null || problems.failed()) return null;
  if (part.pools.length > 0) return { ...read, config: part.config, implicitPool: false };
  const config = withImplicitPool(part, { fleet, stress });
  return { ...read, config, implicitPool: true };
}

function clusterNames(cluster: ClusterSpec | null): Names["cluster"] {
  if (cluster === null) return null;
  const nameOf = ({ name }: { name: string }): string => name;
  return { pods: cluster.pods.map(nameOf), budgets: cluster.budgets.map(nameOf) };
}

/** Upstream's rule: nodes must come from somewhere. A pool that buys its own is one more place. */
function wantFleet(root: Section, fleet: readonly SimNode[], stress: Section): void {
  if (fleet.length > 0 || stress.has("fleet_gen") || root.has("pools")) return;
  const hint = "list nodes under fleet, or describe them under stress.fleet_gen";
  root.fail("fleet", "required", "there are no nodes", hint);
}

/** With a seed in the file the generated ids are known, unless the command line gives another. */
function warnGenerated(
  root: Section,
  stress: Stress | null,
  fleet: readonly SimNode[],
  events: readonly ScenarioEvent[],
): void {
  const gen = stress?.fleetGen ?? null;
  const targets = events.filter((event) => "target" in event);
  if (stress === null || gen === null || stress.seed === 0 || targets.length === 0) return;
  if (root.problems.failed()) return;
  const made = generateFleet(gen, openStreams(stress.seed).fleet).map((node) => node.id);
  const ids = new Set([...made, ...fleet.map((node) => node.id)]);
  for (const event of targets) {
    const isNode = isGeneratedId(event.target, gen);
    if (!isNode || ids.has(baseOf(event.target))) continue;
    const at = { ...root.at, line: event.line, col: 1 };
    const message = `seed ${stress.seed} makes no node ${event.target}`;
    root.problems.warning(at, "events", "no_such_node", message);
  }
}

function isGeneratedId(target: string, gen: FleetGen): boolean {
  return gen.templates.some((one) => target.includes(`-${one.name}-`));
}

/** One pool of all the fleet's providers that buys nothing by itself. */
function withImplicitPool(part: ConfigPart, read: { fleet: SimNode[]; stress: Stress | null }) {
  const { fleet, stress } = read;
  const gen = stress?.fleetGen ?? null;
  const made = gen?.providers.map((one) => one.name) ?? [];
  const providers = [...new Set([...fleet.map((node) => node.provider), ...made])].sort();
  const count = fleet.length + (gen?.totalNodes ?? 0);
  const replaces = stress?.chaos?.recovery?.replaceFatal ?? false;
  const text = JSON.stringify({
    server: { address: "127.0.0.1:1" },
    providers: Object.fromEntries(providers.map((name) => [name, { type: "fake" }])),
    pools: [
      {
        name: IMPLICIT_POOL,
        providers: providers.map((name) => ({ name })),
        instance_type: fleet[0]?.instanceType ?? "generic-gpu",
        scaling: { min_nodes: 0, max_nodes: Math.max(1, count) },
        health: { auto_replace: replaces, unhealthy_threshold: 1 },
      },
    ],
  });
  const answer = readConfig([{ name: IMPLICIT_POOL, text }]);
  const base: Config | null = part.config;
  if (base === null || answer.config === null) {
    throw new Error(`implicit pool: ${JSON.stringify(answer.problems)}`);
  }
  const own = base.providers.map((one) => one.name);
  const added = answer.config.providers.filter((one) => !own.includes(one.name));
  return { ...base, providers: [...base.providers, ...added], pools: answer.config.pools };
}
