/**
 * What `bootstrap --host --template slurm-node` sends besides its commands: the munge key, files of
 * configuration, and a credential by which the machine proves that it has the key.
 *
 * Adapter: reads files, runs munge.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { MUNGE_KEY, SLURM_ETC, SLURM_STAGE } from "../bootstrap/builtin/slurm-node.ts";
import type { JobFile } from "../bootstrap/run/job.ts";
import { usage } from "./failure.ts";
import type { HostRequest, Read } from "./host-flag.ts";
import { readKey } from "./munge-key-file.ts";
import { explainPath } from "./path.ts";

/** Read by slurmd or by jobs; slurmdbd.conf, which has a password, stays where it is. */
const CONF_NAMES =
  /^(slurm|gres|cgroup|topology|job_container|mpi|acct_gather|helpers|oci|plugstack)\.conf$/;
const CONF_BYTES_MAX = 4 * 1024 * 1024;
const MUNGE_MS = 2_000;
/** munged's own maximum: packages may be installed before the machine reads it. */
const PROBE_SECONDS = "3600";
const NOBODY = 65_534;

export type SlurmFiles = { files: readonly JobFile[]; probe: string | null };

export function readSlurmFiles(request: HostRequest): Read<SlurmFiles> {
  const { mungeKey, slurmConf, templates } = request;
  const given = mungeKey !== null ? "--munge-key" : slurmConf !== null ? "--slurm-conf" : null;
  if (given === null) return { ok: true, value: { files: [], probe: null } };
  if (!templates.includes("slurm-node")) return usage(`${given} goes with --template slurm-node`);
  const files: JobFile[] = [];
  try {
    if (mungeKey !== null) {
      const key = readKey("--munge-key", mungeKey);
      if (!key.ok) return key;
      files.push({
        ...{ what: "munge key", bytes: key.value, target: MUNGE_KEY },
        path: `${SLURM_STAGE}/munge.key`,
      });
    }
    if (slurmConf !== null) {
      const conf = readConf(slurmConf);
      if (!conf.ok) return conf;
      files.push(...conf.value);
    }
  } catch (error) {
    const path = mungeKey ?? slurmConf ?? "";
    return usage(`${given} ${path}: ${explainPath(path, error)}`);
  }
  return { ok: true, value: { files, probe: mungeKey === null ? null : makeProbe(mungeKey) } };
}

function readConf(folder: string): Read<JobFile[]> {
  const names = readdirSync(folder)
    .filter((name) => CONF_NAMES.test(name))
    .sort();
  if (!names.includes("slurm.conf")) {
    return usage(`--slurm-conf ${folder}: there is no slurm.conf in it`);
  }
  const files: JobFile[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const { size } = statSync(path);
    if (size > CONF_BYTES_MAX) {
      return usage(`--slurm-conf ${path}: ${size} bytes, at most ${CONF_BYTES_MAX}`);
    }
    files.push({
      ...{ what: "configuration", bytes: readFileSync(path), target: `${SLURM_ETC}/${name}` },
      path: `${SLURM_STAGE}/conf/${name}`,
    });
  }
  return { ok: true, value: files };
}

/**
 * A credential of this computer's munged, if its key is the one that is sent. Made by `nobody`
 * where that is allowed: Slurm would take one of root's for root's.
 */
function makeProbe(key: string): string | null {
  try {
    if (!existsSync(MUNGE_KEY) || realpathSync(key) !== realpathSync(MUNGE_KEY)) return null;
    const nobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const made = spawnSync("munge", ["-n", "-t", PROBE_SECONDS], {
      ...{ cwd: "/", stdio: ["ignore", "pipe", "ignore"], timeout: MUNGE_MS },
      ...nobody,
    });
    const text = made.status === 0 ? made.stdout.toString().trim() : "";
    return /^MUNGE:[A-Za-z0-9+/=]+:$/.test(text) ? text : null;
  } catch {
    return null;
  }
}
