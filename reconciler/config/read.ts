/**
 * Reads YAML texts into one normalised configuration, or lists everything that is wrong with them.
 * Pure: no file, no environment, no clock.
 */
import type { Config, Problem } from "../../schema/config.ts";
import { metaOf, fillTable, type Table } from "../../schema/config/field.ts";
import { KUBERNETES } from "../../schema/config/kubernetes.ts";
import { DEFAULTS, DRAIN } from "../../schema/config/pool.ts";
import { ROOT } from "../../schema/config/root.ts";
import { SAFETY } from "../../schema/config/safety.ts";
import { QUEUE } from "../../schema/config/queue.ts";
import { SIMULATION } from "../../schema/config/simulation.ts";
import { SLURM } from "../../schema/config/slurm.ts";
import { type Layer, mergeLayers, readLayer } from "./layer.ts";
import { locate, type SourceText } from "./locate.ts";
import { type Finder, finderOf } from "./place.ts";
import { readPool } from "./pool.ts";
import { collectProblems, type Problems } from "./problem.ts";
import { readProviders } from "./provider.ts";
import { readProvisioners } from "./provisioner.ts";
import { warnSecrets } from "./secret.ts";
import { readSection } from "./section.ts";
import { type AgentPart, readServer, type ServerOptions } from "./server.ts";
import { warnShared } from "./shared-account.ts";
import { refuseReal } from "./simulation.ts";
import { checkNodeNames, checkSlurm } from "./slurm.ts";
import { readMapping } from "./table.ts";

/** `find` gives the place of a setting; without a readable file, the start of the first file. */
export type ConfigAnswer = { config: Config | null; problems: Problem[]; find: Finder };

export function nowhere(file: string): Finder {
  return (_, keys) => ({ at: { file, line: 1, col: 1 }, path: keys.join(".") });
}

const ORDINARY: ServerOptions = { portZero: false, externalAddress: false };

/**
 * Merges files, later over earlier. `config` is `null` if a problem is an error; problems are in
 * the order of files, lines and columns. Never throws on bad input.
 */
export function readConfig(
  files: readonly SourceText[],
  options: Partial<ServerOptions> = {},
): ConfigAnswer {
  const names = files.map((file) => file.name);
  const problems = collectProblems(names);
  const layers = files.map((file) => readFile(problems, file));
  const sound = layers.filter((layer) => layer !== null);
  const [first, ...rest] = sound;
  // Half a configuration would report errors about the other half.
  if (first === undefined || sound.length < layers.length) {
    return { config: null, problems: problems.list(), find: nowhere(files[0]?.name ?? "") };
  }
  const merged = rest.reduce(mergeLayers, first);
  const config = readMerged(problems, merged, { ...ORDINARY, ...options });
  const find = finderOf(merged);
  return { config: problems.failed() ? null : config, problems: problems.list(), find };
}

function readFile(problems: Problems, file: SourceText): Layer | null {
  const tree = locate(file, problems);
  if (tree === null) return null;
  warnSecrets(problems, tree);
  return readLayer(problems, tree);
}

/** A repair waits for two full checks; a rehearsal of it should not wait for two minutes. */
const REHEARSAL_CHECK_MS = 10_000;

function quickened(agent: AgentPart): AgentPart {
  const { healthCheckIntervalMs } = agent;
  return { ...agent, healthCheckIntervalMs: healthCheckIntervalMs ?? REHEARSAL_CHECK_MS };
}

function readMerged(problems: Problems, layer: Layer, options: ServerOptions): Config {
  const root = readSection(problems, layer.root, "", layer.root.at);
  root.look("pools");
  const whole = <T extends Table>(key: string, table: T) => readMapping(root.map(key), table);
  const { agent, ...global } = whole("global", metaOf(ROOT.global).keys);
  const around = {
    defaults: [whole("defaults", DEFAULTS), global],
    drain: whole("drain", DRAIN),
    directory: readProviders(root),
  };
  const queue = fillTable(QUEUE, whole("queue", QUEUE));
  const simulation = fillTable(SIMULATION, whole("simulation", SIMULATION));
  const cadence = simulation.enabled ? quickened(agent) : agent;
  const server = readServer(root.map("server"), root.map("instance_manager"), cadence, options);
  const safety = fillTable(SAFETY, whole("safety", SAFETY));
  const kubernetes = fillTable(KUBERNETES, whole("kubernetes", KUBERNETES));
  const slurmSection = root.map("slurm");
  const slurm = fillTable(SLURM, readMapping(slurmSection, SLURM));
  checkSlurm(slurmSection, slurm);
  const provisioners = readProvisioners(root);
  root.finish();
  if (layer.pools.length === 0) {
    const message = "no pools: nodes that report are watched, and none is ever created";
    problems.warning(layer.root.at, "pools", "no_pools", message);
  }
  const pools = layer.pools.map((pool) =>
    readPool(problems, pool, { ...around, spend: safety.spend }),
  );
  checkNodeNames(problems, layer.pools, pools);
  const providers = around.directory.all();
  warnShared(problems, around.directory.placed());
  if (simulation.enabled) refuseReal(problems, layer, { pools, providers });
  return { server, safety, providers, pools, kubernetes, slurm, provisioners, queue, simulation };
}
