/**
 * Whether tests run that need a real Slurm. As root on a Debian computer its packages are installed
 * when they are missing; elsewhere such tests are skipped with the reason, and with `CI=true` the
 * same absence is a failure.
 *
 * Adapter: the environment, the package manager.
 */
import { existsSync, readFileSync } from "node:fs";
import { hasProgram } from "../../fixture/machine/command.ts";
import { installPrograms, missingPackages, type Programs } from "../../fixture/machine/image.ts";

/** The release that each Debian suite has. */
export const SLURM_SUITES = { "22.05": "bookworm" } as const;
export type SlurmVersion = keyof typeof SLURM_SUITES;

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
  const suite = SLURM_SUITES[version];
  if (hostSuite() !== suite) return `Slurm ${version} needs Debian ${suite}`;
  const missing = missingPackages(PROGRAMS);
  if (missing.length === 0) return null;
  if (!hasProgram("apt-get")) return `not installed: ${missing.join(", ")}`;
  return installPrograms((line) => console.error(`slurm: ${line}`), PROGRAMS);
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
