/**
 * Whether tests run that need root and packages of this computer. They are asked for, because they
 * install what it lacks and take minutes; the continuous check asks for all of them. What is asked
 * for and cannot be had is a failure with its reason, never a skip.
 *
 * Adapter: the environment, the package manager.
 */
import { hasProgram } from "../../fixture/machine/command.ts";
import { readGroupTrees } from "../../fixture/machine/group.ts";
import {
  imagePath,
  installPrograms,
  missingPackages,
  prepareImage,
  whyNoMachines,
  type ImageOptions,
  type Programs,
} from "../../fixture/machine/image.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** What a few tests want in their machines besides; it would slow the boot of all others down. */
export const MORE_PACKAGES: readonly string[] = ["cloud-init"];

/** By which variable they are asked for; `null` if by none. */
export function askedBy(env: Env): string | null {
  if (env["NAVARCH_MACHINES"] === "1") return "NAVARCH_MACHINES=1";
  return env["CI"] === "true" ? "CI=true" : null;
}

/**
 * Why they are skipped; `null` if they run. Throws where they are asked for and `look` knows why
 * they cannot; nobody looks where nobody asks.
 */
export function judgeGate(env: Env, look: () => string | null): string | null {
  const asked = askedBy(env);
  if (asked === null) return "set NAVARCH_MACHINES=1";
  const why = look();
  if (why === null) return null;
  throw new Error(`${asked}, but ${why}`);
}

/** Whether this computer could ever have machines; programs that can be installed are no reason. */
function lookForBed(): string | null {
  const why = whyNoMachines();
  if (why !== null) return why;
  if (imagePath() === null) return "machines need a Debian host, whose packages they are made of";
  return readGroupTrees() === null ? "machines need cgroup v2, and none is mounted" : null;
}

/** Why tests of machines are skipped; `null` if they run. */
export function whyNoBed(): string | null {
  return judgeGate(process.env, lookForBed);
}

const tell = (line: string): void => console.error(`machines: ${line}`);

function isSkipped(what: string, why: string | null): boolean {
  if (why !== null) console.error(`SKIPPED: ${what}: ${why}`);
  return why !== null;
}

/**
 * True, with one line that says why, where tests of machines are skipped. Otherwise packages and
 * image are there when it answers: they take a minute or two once, which no test's limit has to
 * know. Throws where they were asked for and cannot be had.
 */
export async function missesBed(what: string, image: ImageOptions = {}): Promise<boolean> {
  if (isSkipped(what, whyNoBed())) return true;
  await prepareBed(image);
  return false;
}

/** Installs what this computer lacks and makes the image; its path. Throws with the reason. */
export async function prepareBed(image: ImageOptions = {}): Promise<string> {
  const failed = await installPrograms(tell);
  if (failed !== null) throw new Error(failed);
  const prepared = await prepareImage({ tell, ...image });
  if (!prepared.ok) throw new Error(prepared.why);
  return prepared.path;
}

/** True, with one line, where nobody asks for the tests that take minutes. */
export function isUnasked(what: string): boolean {
  return isSkipped(
    what,
    judgeGate(process.env, () => null),
  );
}

/**
 * True, with one line, where programs of the host are not there and nobody asks; the caller has
 * them installed. Throws where that cannot be done.
 */
export async function missesPrograms(what: string, programs: Programs): Promise<boolean> {
  const missing = missingPackages(programs);
  if (missing.length === 0) return false;
  const told = `not installed: ${missing.join(", ")}`;
  const canInstall = process.getuid?.() === 0 && hasProgram("apt-get");
  const why = judgeGate(process.env, () => (canInstall ? null : told));
  if (isSkipped(what, why === null ? null : `${told}; ${why}`)) return true;
  const failed = await installPrograms(tell, programs);
  if (failed !== null) throw new Error(failed);
  return false;
}
