/**
 * Whether tests run that need a real Slurm. As root on a Debian computer its packages are installed
 * when they are missing, and a release of another suite comes as a root file system that is built
 * once; elsewhere such tests are skipped with the reason, and with `CI=true` that is a failure.
 *
 * Adapter: the environment, the package manager.
 */
import { existsSync, readFileSync } from "node:fs";
import { hasProgram } from "../../fixture/machine/command.ts";
import {
  imagePath,
  installPrograms,
  missingPackages,
  prepareImage,
  type Programs,
} from "../../fixture/machine/image.ts";

/** The release that each Debian suite has. */
const SUITES = { "22.05": "bookworm", "24.11": "trixie" } as const;
export type SlurmVersion = keyof typeof SUITES;
export const SLURM_VERSIONS: readonly SlurmVersion[] = ["22.05", "24.11"];

const PLUGINS = "/usr/lib/x86_64-linux-gnu/slurm-wlm";

/** Programs, each with the Debian package that has it; a path stands for a plugin. */
const PROGRAMS: Programs = {
  munged: "munge",
  scontrol: "slurm-client",
  slurmctld: "slurmctld",
  slurmd: "slurmd",
  slurmdbd: "slurmdbd",
  slurmrestd: "slurmrestd",
  mariadbd: "mariadb-server",
  [`${PLUGINS}/auth_jwt.so`]: "slurm-wlm-jwt-plugin",
  [`${PLUGINS}/select_cons_tres.so`]: "slurm-wlm-basic-plugins",
  [`${PLUGINS}/accounting_storage_mysql.so`]: "slurm-wlm-mysql-plugin",
  unshare: "util-linux",
};

/** The host's Debian suite; `null` on another system. */
function hostSuite(): string | null {
  if (!existsSync("/etc/os-release")) return null;
  const text = readFileSync("/etc/os-release", "utf8");
  if (!/^ID="?debian"?$/m.test(text)) return null;
  return /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(text)?.[1] ?? null;
}

/** Why no Slurm of this release can run here; `null` if its packages are there now. */
async function prepareSlurm(version: SlurmVersion): Promise<string | null> {
  if (process.platform !== "linux") return "Slurm needs Linux";
  if (process.getuid?.() !== 0) return "a real Slurm needs root";
  const tell = (line: string): void => console.error(`slurm: ${line}`);
  if (hostSuite() === null) return "a real Slurm needs a Debian host";
  const image = imageOf(version);
  if (image !== null) {
    const prepared = await prepareImage({ ...image, tell });
    return prepared.ok ? null : prepared.why;
  }
  const missing = missingPackages(PROGRAMS);
  if (missing.length === 0) return null;
  if (!hasProgram("apt-get")) return `not installed: ${missing.join(", ")}`;
  return installPrograms(tell, PROGRAMS);
}

/** What its root file system is made of; `null`: the host has this release itself. */
function imageOf(version: SlurmVersion) {
  const suite = SUITES[version];
  if (suite === hostSuite()) return null;
  return { suite, packages: [...new Set(Object.values(PROGRAMS))] };
}

/** The root file system of a release that the host does not have; `null`: the host's own. */
export function slurmRoot(version: SlurmVersion): string | null {
  const image = imageOf(version);
  return image === null ? null : imagePath(image);
}

/**
 * True, with one line that says why, where tests of a real Slurm are skipped. Otherwise its
 * packages are there when it answers. Throws with `CI=true` if they cannot be had.
 */
export async function missesSlurm(what: string, version: SlurmVersion = "22.05"): Promise<boolean> {
  const why = await prepareSlurm(version);
  if (why === null) return false;
  if (process.env["CI"] === "true") throw new Error(`CI=true, but ${why}`);
  console.error(`SKIPPED: ${what}: ${why}`);
  return true;
}
