/**
 * Makes the root file system that machines share, once for each recipe, outside of the checkout. A
 * build takes half a minute, so its result is put in place by one rename and made by one process at
 * a time; what a killed build left is removed by the next one. Packages come from wherever the
 * host's own apt gets them.
 *
 * Adapter: processes, files, the environment, timers.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { HOST_ENV, hasProgram, runCommand, withoutAddresses, type Ran } from "./command.ts";
import { FINISH, HOST_PROGRAMS, IMAGE_PACKAGES, imageDigest, formatSources } from "./recipe.ts";

export type Prepared = { ok: true; path: string } | { ok: false; why: string };

/** Another one builds the same image: a cold build took 60 s on a busy host. */
const LOCK_SECONDS_MAX = 900;
/** For a package manager that waits for another one. */
const APT_MS_MAX = 600_000;
const BUILD_MS_MAX = 900_000;
/** Enough of a program's complaint to understand it. */
const TAIL_LINES = 12;

/**
 * A server of packages that is away for a moment must not cost everything that needs machines; one
 * that stays away is told within a minute or two. The pause grows by itself with each try.
 */
const TRIES = 3;
const PAUSE_MS = 5_000;

const FETCH = ["-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30"] as const;
const APT = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", ...FETCH] as const;

function aptEnv(): Record<string, string | undefined> {
  const path = `${process.env["PATH"] ?? ""}:${HOST_ENV["PATH"]}`;
  const more = { PATH: path, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  return { ...process.env, ...more };
}

const tail = (ran: Ran): string => {
  const lines = withoutAddresses(`${ran.stdout}${ran.stderr}`).trim().split("\n");
  return lines.slice(-TAIL_LINES).join("\n");
};

/** Commands, each with the Debian package that has it. */
export type Programs = Readonly<Record<string, string>>;

/** The packages of those programs that are not there. */
export function missingPackages(programs: Programs = HOST_PROGRAMS): string[] {
  const missing = Object.entries(programs).filter(([program]) => !hasProgram(program));
  return [...new Set(missing.map(([, name]) => name))];
}

/**
 * Why machines cannot run on this host, whatever is installed; `null` if they can. Programs that
 * are missing are no reason where they can be installed.
 */
export function whyNoMachines(): string | null {
  if (process.platform !== "linux") return "machines need Linux";
  if (process.getuid?.() !== 0) return "machines need root";
  const missing = missingPackages();
  if (missing.length > 0 && !hasProgram("apt-get")) return `not installed: ${missing.join(", ")}`;
  return null;
}

/** Installs what the host is missing; what went wrong, or `null`. */
export async function installPrograms(
  tell: (line: string) => void,
  programs: Programs = HOST_PROGRAMS,
): Promise<string | null> {
  const missing = missingPackages(programs);
  if (missing.length === 0) return null;
  tell(`installing ${missing.join(", ")}`);
  const options = { env: aptEnv(), limitMs: APT_MS_MAX };
  const install = () => runCommand(["apt-get", "install", ...APT, ...missing], options);
  // Lists that are there may be old or none: a new computer has never asked for any.
  let ran = await install();
  for (let tries = 1; ran.code !== 0 && tries <= TRIES; tries += 1) {
    if (tries > 1) await Bun.sleep((tries - 1) * PAUSE_MS);
    await updateLists();
    ran = await install();
  }
  if (ran.code !== 0) return `apt-get install ${missing.join(" ")} failed:\n${tail(ran)}`;
  const still = missingPackages(programs);
  return still.length === 0 ? null : `still missing: ${still.join(", ")}`;
}

/** Whether it worked is seen by what it is needed for: one of many sources may be away for good. */
async function updateLists(): Promise<void> {
  const command = ["apt-get", "update", "-q", ...FETCH];
  await runCommand(command, { env: aptEnv(), limitMs: APT_MS_MAX });
}

/** The host's own Debian suite; `null` on another system. */
function ownSuite(): string | null {
  const text = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const id = /^ID="?debian"?$/m.test(text);
  const suite = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(text)?.[1];
  return id && suite !== undefined ? suite : null;
}

/** The folder of everything that tests build once. */
function cacheRoot(): string {
  const cache = process.env["XDG_CACHE_HOME"];
  const root = cache === undefined || cache === "" ? join(homedir(), ".cache") : cache;
  return join(root, "navarch-test");
}

export type ImageOptions = {
  /** Besides `IMAGE_PACKAGES`. */
  packages?: readonly string[];
  /** A Debian suite; the host's own unless said. */
  suite?: string;
  tell?: (line: string) => void;
};

function imageHome(options: ImageOptions): { home: string; suite: string; all: string[] } | null {
  const suite = options.suite ?? ownSuite();
  if (suite === null) return null;
  const all = [...new Set([...IMAGE_PACKAGES, ...(options.packages ?? [])])];
  const digest = imageDigest(suite, process.arch, all);
  return { home: join(cacheRoot(), `machine-image-${digest}`), suite, all };
}

/** Where the image is, or will be; `null` on a host that cannot say which one. @internal */
export function imagePath(options: ImageOptions = {}): string | null {
  return imageHome(options)?.home ?? null;
}

/** The image, made if it is not there. */
export async function prepareImage(options: ImageOptions = {}): Promise<Prepared> {
  const found = imageHome(options);
  if (found === null) return { ok: false, why: "machines need a Debian host" };
  const { home, suite, all } = found;
  if (existsSync(home)) return { ok: true, path: home };
  const why = await installPrograms(options.tell ?? (() => undefined));
  if (why !== null) return { ok: false, why };
  mkdirSync(dirname(home), { recursive: true });
  const sources = await readSources(suite);
  if (sources.length === 0) return { ok: false, why: "apt knows no Debian package source" };
  options.tell?.(`building ${basename(home)} of ${suite}`);
  let ran = await build(home, suite, all, sources);
  for (let tries = 2; ran.code !== 0 && ran.code !== LOCKED && tries <= TRIES; tries += 1) {
    options.tell?.(`once more: ${tail(ran)}`);
    await Bun.sleep((tries - 1) * PAUSE_MS);
    ran = await build(home, suite, all, sources);
  }
  if (ran.code !== 0) return { ok: false, why: `${basename(home)}: ${tail(ran)}` };
  return { ok: true, path: home };
}

async function readSources(suite: string): Promise<string[]> {
  const ask = async () => {
    const format = "$(REPO_URI) $(RELEASE)";
    const filter = ["Created-By: Packages", "Origin: Debian"];
    const ran = await runCommand(["apt-get", "indextargets", "--format", format, ...filter]);
    return formatSources(ran.stdout, suite, ownSuite() ?? suite);
  };
  let known = await ask();
  for (let tries = 1; known.length === 0 && tries <= TRIES; tries += 1) {
    if (tries > 1) await Bun.sleep((tries - 1) * PAUSE_MS);
    await updateLists();
    known = await ask();
  }
  return known;
}

/** The exit status of a build for which another one did not make room. */
const LOCKED = 73;

/**
 * Arguments: image, suite, packages, finishing script; the sources come by standard input. The
 * kernel lets go of the lock when this ends, however it ends.
 */
const BUILD = `set -eu
home=$1 suite=$2 packages=$3 finish=$4 part=$1.part.$$
exec 9>"$home.lock"
flock -w ${LOCK_SECONDS_MAX} 9 || { echo 'another build does not end'; exit ${LOCKED}; }
[ ! -d "$home" ] || exit 0
for old in "$home".part.*; do [ ! -d "$old" ] || rm -rf --one-file-system "$old"; done
mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" "$part" - 9>&-
sh -c "$finish" finish "$part" 9>&-
mv -T "$part" "$home"
`;

async function build(
  home: string,
  suite: string,
  packages: readonly string[],
  sources: readonly string[],
): Promise<Ran> {
  const command = ["sh", "-c", BUILD, "build", home, suite, packages.join(","), FINISH];
  const input = `${sources.join("\n")}\n`;
  return runCommand(command, { env: aptEnv(), limitMs: BUILD_MS_MAX, input });
}
