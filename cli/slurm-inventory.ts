/**
 * Reads the inventory of a Slurm cluster (docs/slurm.md#the-inventory). Every mistake is one
 * problem with file, line and path; an inventory with an error is refused as a whole.
 */
import type { SlurmInventory, SlurmPool } from "../deploy/slurm/inventory.ts";
import type { SlurmLayout } from "../deploy/slurm/render.ts";
import { locate, type SourceText } from "../reconciler/config/locate.ts";
import { collectProblems, quoteShort } from "../reconciler/config/problem.ts";
import { readSection, type Section } from "../reconciler/config/section.ts";
import type { Problem } from "../schema/config.ts";
import { checkPools, NODES_MAX } from "./slurm-inventory-check.ts";
import { type LiveFleet, readPool } from "./slurm-inventory-pool.ts";

export type SlurmInventoryRead = { inventory: SlurmInventory | null; problems: Problem[] };

/** `ClusterName` is a name of accounting tables too. */
const CLUSTER = /^[a-z][a-z0-9_-]{0,39}$/;
export const HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const ADDRESS = /^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?$/;
const WORD = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})$/;
/** A path without what ends a value in slurm.conf. */
const FOLDER = /^\/[^\s#"'=\\]*[^\s#"'=\\/]$/;

const POOLS_MAX = 1_000;
/** Nodes that may join beside those of the inventory. */
const NODES_USUAL = 1024;
/** slurm.conf holds times in 16 bits. */
const SECONDS_MAX = 65_533;

/** With `live` the nodes come from the control plane, and the file has all the rest. */
export function readSlurmInventory(
  file: SourceText,
  layout: SlurmLayout,
  live: LiveFleet | null = null,
): SlurmInventoryRead {
  const problems = collectProblems([file.name]);
  const tree = locate(file, problems);
  if (tree === null) return { inventory: null, problems: problems.list() };
  const root = readSection(problems, tree, "", tree.at, () => null);
  const pools = root.list("pools", "pool", POOLS_MAX).flatMap((section) => {
    return readPool(section, live);
  });
  const inventory = readCluster(
    root,
    layout,
    pools.map(({ pool }) => pool),
  );
  root.finish();
  checkPools(root, inventory, pools, layout);
  return { inventory: problems.failed() ? null : inventory, problems: problems.list() };
}

function readCluster(root: Section, layout: SlurmLayout, pools: SlurmPool[]): SlurmInventory {
  const isOne = layout === "single-host";
  const count = pools.reduce((sum, { nodes }) => sum + nodes.length, 0);
  const cluster = matching(root, "cluster", CLUSTER, "lower-case letters, digits, _ and -");
  const partition = matching(root, "default_partition", WORD, "letters, digits, _ and -");
  const mpi = root.choice("mpi", ["none", "pmi2", "pmix"]);
  const host = matching(root, "controller", HOST, "a host name");
  const address = matching(root, "controller_address", ADDRESS, "an IPv4 address or DNS name");
  if (isOne && (host ?? "localhost") !== "localhost") {
    root.fail("controller", "layout", "must be localhost, or left out, on a single host");
  }
  return {
    cluster: cluster ?? "slurm-cluster",
    controller: isOne
      ? { host: "localhost", address: "127.0.0.1" }
      : { host: host ?? "slurm-controller", address },
    defaultPartition: partition ?? "compute",
    accounting: readAccounting(root, isOne),
    programs: matching(root, "programs", FOLDER, "the path of a folder"),
    cgroup: root.flag("cgroup") ?? layout === "hosts",
    mpi: mpi ?? "none",
    jwtKey: matching(root, "jwt_key", FOLDER, "the path of a file"),
    maxNodes:
      root.integer("max_nodes", { min: Math.max(count, 1), max: NODES_MAX }) ??
      Math.max(NODES_USUAL, 2 * count),
    suspendSeconds: readSeconds(root, "suspend_after", 600),
    resumeSeconds: readSeconds(root, "resume_timeout", 1800),
    pools,
  };
}

function readSeconds(root: Section, key: string, usual: number): number {
  const ms = root.duration(key, { min: 1000, max: SECONDS_MAX * 1000 });
  return ms === null ? usual : Math.ceil(ms / 1000);
}

function readAccounting(root: Section, isOne: boolean): SlurmInventory["accounting"] {
  const entry = root.look("accounting");
  const isOff = entry?.value.kind === "scalar" && root.flag("accounting") === false;
  if (isOff) return null;
  const isOn = entry?.value.kind === "scalar";
  const section = isOn ? null : root.map("accounting");
  const text = (key: string, form: RegExp, usual: string): string =>
    (section === null ? null : matching(section, key, form, "a name")) ?? usual;
  const accounting = {
    host: text("host", HOST, isOne ? "localhost" : "slurm-dbdaemon"),
    database: {
      host: text("database_host", ADDRESS, isOne ? "localhost" : "slurm-mariadb"),
      name: text("database", WORD, "slurm_acct_db"),
      user: text("user", WORD, "slurm"),
    },
  };
  section?.finish();
  return accounting;
}

/** The text of a key if it has the form; slurm.conf has no quoting to rely on. */
export function matching(
  section: Section,
  key: string,
  form: RegExp,
  expected: string,
): string | null {
  const text = section.text(key);
  if (text === null || form.test(text)) return text;
  return section.fail(key, "form", `${quoteShort(text)} is not ${expected}`);
}
