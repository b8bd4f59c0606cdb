/**
 * The programs of a real Kubernetes control plane, built from Go modules whose versions are pinned
 * under `module/`. A build takes minutes, so its result is kept outside the checkout under a name
 * that says what it was made of, put in place by one rename, and made by one process at a time.
 *
 * Adapter: processes, files, the environment.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { isAlive } from "./part.ts";

type Module = { folder: string; package: string; commands: Readonly<Record<string, string>> };

/** Each module is cached alone, so that a newer helm does not build Kubernetes again. */
const MODULES: readonly Module[] = [
  {
    folder: "etcd",
    package: "go.etcd.io/etcd/server/v3",
    commands: { etcd: "go.etcd.io/etcd/server/v3" },
  },
  {
    folder: "kubernetes",
    package: "k8s.io/kubernetes",
    commands: {
      "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
      "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
      "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
      kubectl: "k8s.io/kubernetes/cmd/kubectl",
    },
  },
  // Apart from the servers: it needs modules that they do not, and few tests need it.
  {
    folder: "kubeadm",
    package: "k8s.io/kubernetes",
    commands: { kubeadm: "k8s.io/kubernetes/cmd/kubeadm" },
  },
  { folder: "kwok", package: "sigs.k8s.io/kwok", commands: { kwok: "sigs.k8s.io/kwok/cmd/kwok" } },
  { folder: "helm", package: "helm.sh/helm/v3", commands: { helm: "helm.sh/helm/v3/cmd/helm" } },
  {
    folder: "prometheus-adapter",
    package: "sigs.k8s.io/prometheus-adapter",
    commands: { "prometheus-adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter" },
  },
];

/** Of `openCluster`, in the order in which they are built: short ones first. */
export const CLUSTER_BINARIES = [
  "etcd",
  "kwok",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubectl",
] as const;
export const BINARIES = [...CLUSTER_BINARIES, "kubeadm", "helm", "prometheus-adapter"] as const;
export type Binary = (typeof BINARIES)[number];

/** What a folder of ready-made test binaries holds by convention (envtest). */
const ASSETS: readonly Binary[] = ["kube-apiserver", "etcd", "kubectl"];

const MODULE_ROOT = join(import.meta.dir, "module");

/** A whole cold build took 5 minutes on two free cores; a busy machine gets eight times that. */
const LOCK_MS_MAX = 40 * 60_000;
const LOCK_LOOK_MS = 500;

/** Enough of a compiler's complaint to understand it. */
const TAIL_LINES = 15;

export type Prepared = { ok: true } | { ok: false; why: string };

/** The path of a program that is here now; `null` if it would have to be built. */
export function findBinary(name: Binary): string | null {
  const assets = process.env["KUBEBUILDER_ASSETS"];
  if (assets !== undefined && assets !== "" && ASSETS.includes(name)) {
    const path = join(assets, name);
    if (existsSync(path)) return path;
  }
  const path = join(homeOf(moduleOf(name)), "bin", name);
  return existsSync(path) ? path : null;
}

/** The same, for code that runs after `prepareBinaries` said it was fine. */
export function binaryPath(name: Binary): string {
  const path = findBinary(name);
  if (path === null) throw new Error(`${name} is not built: npm run cluster -- --build`);
  return path;
}

/**
 * Why the Kubernetes tests cannot run here; `null` if they can. At a desk nothing is built behind
 * the person's back: it takes minutes. With `CI=true` it is built, and a failure to do so is what
 * the tests then fail with.
 */
export async function whyNoCluster(
  names: readonly Binary[] = CLUSTER_BINARIES,
): Promise<string | null> {
  const missing = names.filter((name) => findBinary(name) === null);
  if (missing.length === 0) return null;
  if (process.env["CI"] === "true") {
    const prepared = await prepareBinaries(names, () => undefined);
    return prepared.ok ? null : prepared.why;
  }
  return `${missing.join(", ")} not built; once: npm run cluster -- --build (minutes)`;
}

/** Builds what is missing; `tell` gets a line for each module that is built. */
export async function prepareBinaries(
  names: readonly Binary[],
  tell: (line: string) => void,
  signal?: AbortSignal,
): Promise<Prepared> {
  for (const module of MODULES) {
    const wanted = names.filter((name) => name in module.commands);
    if (wanted.every((name) => findBinary(name) !== null)) continue;
    const prepared = await buildModule(module, tell, signal);
    if (!prepared.ok) return prepared;
  }
  return { ok: true };
}

/** Where the cache is, for a person who wants to empty it. */
export function cacheRoot(): string {
  const cache = process.env["XDG_CACHE_HOME"];
  return join(
    cache === undefined || cache === "" ? join(homedir(), ".cache") : cache,
    "navarch-test",
  );
}

function moduleOf(name: Binary): Module {
  const module = MODULES.find(({ commands }) => name in commands);
  if (module === undefined) throw new Error(`no module makes ${name}`);
  return module;
}

/** `kubernetes-v1.37.1-0123456789ab`: the hash is over what decides the build's content. */
function homeOf(module: Module): string {
  const files = ["go.mod", "go.sum"].map((name) => join(MODULE_ROOT, module.folder, name));
  const hash = createHash("sha256").update(process.arch);
  for (const file of files) hash.update(readFileSync(file));
  const digest = hash.digest("hex").slice(0, 12);
  return join(cacheRoot(), `${module.folder}-${versionOf(module)}-${digest}`);
}

function versionOf(module: Module): string {
  const text = readFileSync(join(MODULE_ROOT, module.folder, "go.mod"), "utf8");
  const words = text.split("\n").map((line) => line.trim().split(/\s+/));
  const version = words.find(([name]) => name === module.package)?.[1];
  if (version === undefined) throw new Error(`${module.folder}/go.mod: no ${module.package}`);
  return version;
}

async function buildModule(
  module: Module,
  tell: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<Prepared> {
  const home = homeOf(module);
  mkdirSync(cacheRoot(), { recursive: true });
  const lock = await takeLock(`${home}.lock`);
  if (lock === null) return { ok: false, why: `${basename(home)}: another build does not end` };
  try {
    const commands = Object.keys(module.commands);
    if (commands.every((name) => existsSync(join(home, "bin", name)))) return { ok: true };
    tell(`building ${basename(home)}: ${commands.join(", ")}`);
    const startedMs = performance.now();
    // What killed builds left; nobody else builds this one while we hold the lock.
    for (const name of readdirSync(cacheRoot())) {
      if (name.startsWith(`${basename(home)}.build-`)) {
        rmSync(join(cacheRoot(), name), { recursive: true, force: true });
      }
    }
    const scratch = mkdtempSync(`${home}.build-`);
    try {
      const why = await compile(module, join(scratch, "bin"), signal);
      if (why !== null) return { ok: false, why: `${basename(home)}: ${why}` };
      rmSync(home, { recursive: true, force: true });
      renameSync(scratch, home);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    tell(`built ${basename(home)} in ${Math.round((performance.now() - startedMs) / 1_000)} s`);
    return { ok: true };
  } finally {
    lock();
  }
}

/** Builds into `bin`; why it could not, or `null`. */
async function compile(
  module: Module,
  bin: string,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  const go =
    Bun.which("go") ?? (existsSync("/usr/local/go/bin/go") ? "/usr/local/go/bin/go" : null);
  if (go === null) return "no Go toolchain on this machine";
  mkdirSync(bin, { recursive: true });
  for (const [name, source] of Object.entries(module.commands)) {
    const args = ["build", "-trimpath", "-mod=readonly", "-ldflags", ldflags(module)];
    const child = Bun.spawn([go, ...args, "-o", join(bin, name), source], {
      cwd: join(MODULE_ROOT, module.folder),
      env: { ...process.env, ...GO_ENV },
      stdio: ["ignore", "pipe", "pipe"],
      ...(signal === undefined ? {} : { signal }),
    });
    const said = await Promise.all(
      [child.stdout, child.stderr].map((end) => new Response(end).text()),
    );
    if ((await child.exited) !== 0) {
      const lines = withoutAddresses(said.join("")).trim().split("\n");
      return `go build ${name} failed:\n${lines.slice(-TAIL_LINES).join("\n")}`;
    }
  }
  return null;
}

/** The installed toolchain or none, no workspace of the caller's, and no C compiler. */
const GO_ENV = { GOTOOLCHAIN: "local", GOWORK: "off", CGO_ENABLED: "0", GOFLAGS: "" };

/** Kubernetes learns its own version from the linker; without it the server says v0.0.0. */
function ldflags(module: Module): string {
  if (module.package !== "k8s.io/kubernetes") return "-s -w";
  const version = versionOf(module);
  const [major = "", minor = ""] = version.slice(1).split(".");
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  const sets = Object.entries(values).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  return ["-s", "-w", ...sets].join(" ");
}

/** What a build prints must not say from where this machine gets its modules. */
export function withoutAddresses(text: string): string {
  return text
    .replace(/[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s"']*/g, "(address)")
    .replace(/\b(dial (?:tcp|udp)|lookup) \S+( on \S+)?/g, "$1 (address)")
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, "(address)");
}

/**
 * A file with the holder's process id, created only if absent. A holder that is gone has left it
 * behind, and the next one takes it away. Returns the release, or `null` after the limit.
 */
async function takeLock(path: string): Promise<(() => void) | null> {
  const endMs = performance.now() + LOCK_MS_MAX;
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (!existsSync(path) && !isExisting(error)) throw error;
    }
    if (isAbandoned(path)) rmSync(path, { force: true });
    else if (performance.now() > endMs) return null;
    else await Bun.sleep(LOCK_LOOK_MS);
  }
}

const isExisting = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "EEXIST";

function isAbandoned(path: string): boolean {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    // Between creation and writing the file is empty for a moment.
    if (pid === 0) return Date.now() - statSync(path).mtimeMs > LOCK_LOOK_MS;
    return !isAlive(pid);
  } catch {
    return false; // It went away meanwhile: try again.
  }
}
