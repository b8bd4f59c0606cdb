/**
 * The shipped images without an engine: a Containerfile is read as its few instructions, laid out
 * as a root file system with nothing but what the binary links to, and its entry point is run there
 * with a manifest's arguments, environment and mounts, in a network of its own. Adapter: processes,
 * files, mounts; needs root.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { until } from "../fixture/plane/plane.ts";

type Image = {
  entrypoint: string[];
  env: Record<string, string>;
  user: { uid: number; gid: number };
  /** From the repository to the image. */
  copies: [string, string][];
  /** Folders that belong to the user. */
  folders: string[];
};

/** Understands what our files use, and throws on anything else. */
export function parseContainerfile(text: string): Image {
  const image: Image = {
    entrypoint: [],
    env: {},
    user: { uid: 0, gid: 0 },
    copies: [],
    folders: [],
  };
  for (const line of text.split("\n")) {
    const [, word = "", rest = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (line === "" || line.startsWith("#")) continue;
    else if (word === "ENTRYPOINT") image.entrypoint = JSON.parse(rest) as string[];
    else if (word === "ENV") Object.assign(image.env, Object.fromEntries([rest.split("=")]));
    else if (word === "COPY") image.copies.push(rest.split(" ") as [string, string]);
    else if (word === "USER") {
      const [uid = 0, gid = 0] = rest.split(":").map(Number);
      image.user = { uid, gid };
    } else if (word === "RUN") {
      const made = /^install -d -o (\d+) -g \d+ -m 0750 ([\w/ ]+)$/.exec(rest);
      if (made?.[2] === undefined) throw new Error(`not understood: ${line}`);
      image.folders.push(...made[2].split(" "));
    } else if (!/^(ARG|FROM|EXPOSE|STOPSIGNAL)$/.test(word)) {
      throw new Error(`not understood: ${line}`);
    }
  }
  return image;
}

/** Why images cannot be run here; `null` if they can. */
export function whyNoImage(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux";
  for (const tool of ["unshare", "nsenter", "ip", "chroot", "mount", "ldd", "curl"]) {
    if (Bun.which(tool) === null) return `needs ${tool}`;
  }
  const tried = Bun.spawnSync(["unshare", "-m", "-n", "ip", "link", "set", "lo", "up"]);
  return tried.exitCode === 0 ? null : "may not make namespaces of mounts and networks";
}

export type Run = {
  args: readonly string[];
  env: Record<string, string>;
  /** Files that lie there from the start, of the superuser. */
  files: Record<string, string>;
  /** Empty volumes that the user may write to. */
  writable: readonly string[];
  /** Folders of this machine at places in the container. */
  binds: Record<string, string>;
  readOnly: boolean;
};

/** One network with loopback alone, in which containers reach each other by the Service's name. */
export class Network {
  private readonly holder: Bun.Subprocess;
  private readonly folders: string[] = [];
  private readonly children: Bun.Subprocess[] = [];
  private readonly logs: string[] = [];

  private constructor(holder: Bun.Subprocess) {
    this.holder = holder;
  }

  static async open(): Promise<Network> {
    const script = "ip link set lo up && exec sleep infinity";
    const own = readlinkSync("/proc/self/ns/net");
    const holder = Bun.spawn(["unshare", "-n", "sh", "-c", script], { stdio: IGNORED });
    const network = new Network(holder);
    await until("the network is made", 10_000, () => {
      const name = readFileSync(`/proc/${holder.pid}/comm`, "utf8").trim();
      return name === "sleep" && readlinkSync(`/proc/${holder.pid}/ns/net`) !== own ? true : null;
    });
    return network;
  }

  /** Starts the image's entry point; answers the process, whose root is below `/proc`. */
  start(image: Image, run: Run): Bun.Subprocess {
    const root = mkdtempSync(join(tmpdir(), "navarch-image-"));
    this.folders.push(root);
    chmodSync(root, 0o755);
    const mounts = layOut(root, image, run);
    const { uid, gid } = image.user;
    const script = [
      "set -e",
      "mount --make-rprivate /",
      `mount --bind ${root} ${root}`,
      ...mounts.binds,
      ...(run.readOnly ? [`mount -o remount,bind,ro ${root}`] : []),
      ...mounts.volumes,
      `exec chroot --userspec=${uid}:${gid} --groups= ${root} "$@"`,
    ].join("\n");
    const command = [...this.inside(), "unshare", "-m", "sh", "-c", script, "sh"];
    const log = join(root, "..", `${root.split("/").at(-1)}.log`);
    this.logs.push(log);
    const child = Bun.spawn([...command, ...image.entrypoint, ...run.args], {
      env: { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...image.env, ...run.env },
      stdin: "ignore",
      stdout: Bun.file(log),
      stderr: Bun.file(log),
    });
    this.children.push(child);
    return child;
  }

  /** What all containers said, for the message of a failure. */
  said(): string {
    return this.logs.map((log) => readFileSync(log, "utf8").slice(-3_000)).join("\n");
  }

  /** The status and body of a request from inside. */
  ask(path: string, token: string | null = null): { status: number; body: string } {
    const auth = token === null ? [] : ["-H", `Authorization: Bearer ${token}`];
    const url = `http://127.0.0.1:50051${path}`;
    const curl = ["curl", "-s", "-m", "5", "-w", "\n%{http_code}", ...auth, url];
    const out = Bun.spawnSync([...this.inside(), ...curl]).stdout.toString();
    const at = out.lastIndexOf("\n");
    return { status: Number(out.slice(at + 1)), body: out.slice(0, at) };
  }

  /** Ends everything; resolves when it has ended. */
  async close(): Promise<void> {
    for (const child of [...this.children, this.holder]) {
      child.kill("SIGKILL");
      await child.exited;
    }
    for (const path of [...this.folders, ...this.logs]) rmSync(path, { recursive: true });
  }

  private inside(): string[] {
    return ["nsenter", "-t", String(this.holder.pid), "-n"];
  }
}

const IGNORED: ["ignore", "ignore", "ignore"] = ["ignore", "ignore", "ignore"];

/** Prepares the root's own files, and says which mounts it needs besides. */
function layOut(root: string, image: Image, run: Run): { binds: string[]; volumes: string[] } {
  const binds: string[] = [];
  const volumes: string[] = [];
  const folder = (path: string): string => {
    mkdirSync(join(root, path), { recursive: true, mode: 0o755 });
    return join(root, path);
  };
  const file = (path: string, text: string): string => {
    folder(dirname(path));
    writeFileSync(join(root, path), text);
    return join(root, path);
  };
  for (const [from, to] of image.copies) {
    const source = join(ROOT, from);
    for (const library of librariesOf(source)) {
      binds.push(`mount --bind ${library} ${file(library, "")}`);
    }
    binds.push(`mount --bind ${source} ${file(to, "")}`);
  }
  for (const path of image.folders) chownSync(folder(path), image.user.uid, image.user.gid);
  chmodSync(folder("/tmp"), 0o1777);
  file("/etc/nsswitch.conf", "hosts: files\n");
  file("/etc/hosts", "127.0.0.1 localhost navarch-control-plane.navarch.svc.cluster.local\n");
  for (const [path, text] of Object.entries(run.files)) file(path, text);
  for (const [path, source] of Object.entries({ "/proc": "/proc", "/dev": "/dev", ...run.binds })) {
    binds.push(`mount --rbind ${source} ${folder(path)}`);
  }
  for (const path of run.writable) {
    const options = `mode=0770,uid=${image.user.uid},gid=${image.user.gid}`;
    volumes.push(`mount -t tmpfs -o ${options} tmpfs ${folder(path)}`);
  }
  return { binds, volumes };
}

/** What a binary opens while it runs: the database addon, which it unpacks, is linked to it. */
const OPENED = ["libgcc_s.so.1", "librt.so.1"];

/** Absolute paths of what the loader needs, itself included, and of what is opened later. */
function librariesOf(binary: string): string[] {
  const said = Bun.spawnSync(["ldd", binary]).stdout.toString();
  const linked = [...said.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path = ""]) => path);
  const libc = linked.find((path) => path.endsWith("/libc.so.6")) ?? "";
  return [...linked, ...OPENED.map((name) => join(dirname(libc), name))];
}
