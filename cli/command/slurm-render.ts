/**
 * `navarch slurm render`: the configuration files of a Slurm cluster, from an inventory. The same
 * inventory gives the same bytes.
 */
import type { SlurmInventory } from "../../deploy/slurm/inventory.ts";
import {
  renderSlurm,
  SLURM_LAYOUTS,
  type SlurmFile,
  type SlurmLayout,
} from "../../deploy/slurm/render.ts";
import { readRelease, SLURM_RELEASES } from "../../deploy/slurm/version.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { EXIT, type Failure, failure, unknownName, usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import type { Read } from "../host-flag.ts";
import { sayProblems } from "../problem-view.ts";
import { compareFiles, readPassword, staleFiles, writeFiles } from "../slurm-files.ts";
import { type LiveFleet, whyNotFiles } from "../slurm-inventory-pool.ts";
import { plain } from "../table.ts";

export const slurmRender: Command = {
  name: ["slurm", "render"],
  usage: "--layout L --inventory F --slurm-version X.Y",
  summary: "render the configuration files of a Slurm cluster",
  examples: [
    "navarch slurm render --layout hosts -i f.yaml --slurm-version 24.11 --out d",
    "navarch slurm render --layout hosts -i f.yaml --slurm-version 24.11 --check d",
  ],
  more:
    "Writes slurm.conf, gres.conf, cgroup.conf and slurmdbd.conf. The version is that of the\n" +
    "oldest slurmctld or slurmd that reads them, as sinfo --version prints it: a key that a\n" +
    "release does not know would stop its daemons. --check exits with 1 if DIR differs.",
  flags: [
    { ...textFlag("layout", "L", SLURM_LAYOUTS.join(", ")), values: SLURM_LAYOUTS },
    { ...textFlag("inventory", "FILE", "pools and nodes; live: the control plane's"), short: "i" },
    textFlag("base", "FILE", "with --inventory live: an inventory without nodes"),
    textFlag("slurm-version", "X.Y", `${SLURM_RELEASES[0]} to ${SLURM_RELEASES.at(-1) ?? ""}`),
    textFlag("out", "DIR", "write the files into this folder"),
    textFlag("check", "DIR", "compare the files with this folder instead"),
    textFlag("gres-file", "PATHS", "device files of the GPUs, as /dev/nvidia[0-7]"),
    textFlag("db-password-file", "FILE", "password of the database, for slurmdbd.conf"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags } = context;
    const [out, check] = [flags.text("out"), flags.text("check")];
    if ((out === null) === (check === null)) {
      return usage("slurm render needs one of --out and --check");
    }
    const files = await renderFiles(context);
    if ("exit" in files) return files;
    return out === null ? compare(check ?? "", files) : write(context, out, files);
  },
};

async function renderFiles(context: Context): Promise<SlurmFile[] | Failure> {
  const { flags } = context;
  const layout = readLayout(flags.text("layout"));
  if (typeof layout !== "string") return layout;
  const version = flags.text("slurm-version");
  if (version === null) return usage("slurm render needs --slurm-version, as sinfo --version says");
  const named = readRelease(version);
  const release = SLURM_RELEASES.find((one) => one === named);
  if (release === undefined) return unknownName("Slurm version", version, SLURM_RELEASES);
  const passwordFile = flags.text("db-password-file");
  const password = passwordFile === null ? null : readPassword("--db-password-file", passwordFile);
  if (password?.ok === false) return password;
  const inventory = await readInventory(context, layout);
  if (!inventory.ok) return inventory;
  const placed = placeDevices(inventory.value, flags.text("gres-file"));
  const databasePassword = password?.value ?? null;
  return placed.ok ? renderSlurm(placed.value, { layout, release, databasePassword }) : placed;
}

function readLayout(given: string | null): SlurmLayout | Failure {
  if (given === null) return usage(`slurm render needs --layout ${SLURM_LAYOUTS.join("|")}`);
  const layout = SLURM_LAYOUTS.find((one) => one === given);
  return layout ?? unknownName("layout", given, SLURM_LAYOUTS);
}

type Source = { flag: string; path: string; isLive: boolean };

/** `live` is no file: one of that name is `./live`. */
function chooseSource({ flags }: Context): Source | Failure {
  const [path, base] = [flags.text("inventory"), flags.text("base")];
  if (path === null) return usage("slurm render needs --inventory FILE, or --inventory live");
  if (path !== "live") {
    if (base !== null) return usage("--base belongs to --inventory live");
    return { flag: "--inventory", path, isLive: false };
  }
  if (base !== null) return { flag: "--base", path: base, isLive: true };
  return usage("--inventory live needs --base FILE, an inventory without nodes");
}

async function fetchLive(context: Context): Promise<Read<LiveFleet>> {
  const { readLiveFleet } = await import("../slurm-live.ts");
  const client = context.connect();
  return "ok" in client ? client : readLiveFleet(client);
}

async function readInventory(context: Context, layout: SlurmLayout): Promise<Read<SlurmInventory>> {
  const source = chooseSource(context);
  if ("exit" in source) return source;
  const { flag, path, isLive } = source;
  const { readInventoryFile } = await import("../slurm-inventory-file.ts");
  const fleet = isLive ? await fetchLive(context) : null;
  if (fleet?.ok === false) return fleet;
  const read = readInventoryFile(flag, path, layout, fleet?.value ?? null);
  if ("exit" in read) return read;
  sayProblems(context, read.problems);
  if (read.inventory !== null) return { ok: true, value: read.inventory };
  const count = read.problems.filter(({ severity }) => severity === "error").length;
  return usage(`${flag} ${path}: ${count} error${count === 1 ? "" : "s"}`);
}

/** `--gres-file` is for machines whose devices have other names, such as those of tests. */
function placeDevices(inventory: SlurmInventory, files: string | null): Read<SlurmInventory> {
  if (files === null) return { ok: true, value: inventory };
  for (const { name, gpus } of inventory.pools) {
    const problem = gpus === null ? null : whyNotFiles(files, gpus.count);
    if (problem !== null) return usage(`--gres-file ${files}: ${problem} in the pool ${name}`);
  }
  const pools = inventory.pools.map((pool) => {
    return pool.gpus === null ? pool : { ...pool, gpus: { ...pool.gpus, files } };
  });
  return { ok: true, value: { ...inventory, pools } };
}

async function write(context: Context, out: string, files: readonly SlurmFile[]): Outcome {
  const written = writeFiles(out, files);
  if (!written.ok) return written;
  for (const path of staleFiles(out, files)) {
    context.world.err(`note: ${plain(path)} is not rendered any more; remove it\n`);
  }
  return {
    data: { files: written.value },
    names: written.value.map(({ path }) => path),
    human: () =>
      written.value.map(({ path, state }) => `${state.padEnd(9)}  ${plain(path)}\n`).join(""),
  };
}

function compare(folder: string, files: readonly SlurmFile[]): Awaited<Outcome> {
  const differences = compareFiles(folder, files);
  if ("exit" in differences) return differences;
  if (differences.length > 0) {
    const message = `${folder} differs from the inventory: ${differences.join("; ")}`;
    return failure(EXIT.failed, "differs", message, { differences });
  }
  return {
    data: { differences },
    names: [],
    human: () => `${plain(folder)} is as the inventory says\n`,
  };
}
