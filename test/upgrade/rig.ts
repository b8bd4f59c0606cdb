/**
 * A real control plane from source with a release folder, and real agents in binaries of their own
 * under a small service manager: whatever ends is restarted. Adapter: compiler, processes,
 * files, network.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildProduct, PRODUCTS, ROOT } from "../../build/product.ts";
import type { UpgradeView } from "../../schema/upgrade.ts";

const FOLDER = join(tmpdir(), `navarch-upgrade-${process.pid}`);
const ended: (() => void)[] = [];

/** Ends what still runs and removes every file; what comes after it begins again. */
export function cleanUp(): void {
  for (const end of ended.splice(0)) end();
  fs.rmSync(FOLDER, { recursive: true, force: true });
}
process.on("exit", cleanUp);

function scratch(what: string): string {
  fs.mkdirSync(FOLDER, { recursive: true });
  return fs.mkdtempSync(join(FOLDER, `${what}-`));
}

export const TOKEN = "shared-secret-of-the-fleet";
const PLATFORM = process.arch === "arm64" ? "linux-arm64" : "linux-amd64";
const yamlFor = (host: string) => `
server:
  address: ${host}:0
  heartbeat_interval: 1s
  heartbeat_timeout: 5s
  health_check_interval: 1s
kubernetes: { enabled: false }
providers:
  fake: {}
pools:
  - { name: p, provider: fake, instance_type: h100-8x, scaling: { min_nodes: 0, max_nodes: 4 } }
`;

/** The agent compiled as that version. */
export async function buildAgent(version: string): Promise<string> {
  const [product] = PRODUCTS.filter(({ name }) => name === "navarch-node");
  if (product === undefined) throw new Error("navarch-node is no product");
  const outdir = scratch("build");
  const target = process.arch === "arm64" ? "bun-linux-arm64" : "bun-linux-x64";
  const stamp = { version, commit: "test", date: "1970-01-01T00:00:00.000Z" };
  return (await buildProduct(product, { outdir, target, executable: null, stamp })).path;
}

export async function until<T>(what: string, look: () => T | null | Promise<T | null>): Promise<T> {
  const end = performance.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`${what}: not within 30 s`);
    await Bun.sleep(50);
  }
}

export class Rig {
  readonly state = scratch("state");
  url = "";
  private readonly host: string;
  private child: Bun.Subprocess | null = null;

  /** `host` is where it listens. */
  constructor(host = "127.0.0.1") {
    this.host = host;
  }

  async start(): Promise<this> {
    const config = join(this.state, "navarch.yaml");
    fs.writeFileSync(config, yamlFor(this.host));
    const portFile = join(this.state, "port");
    const known = fs.existsSync(portFile);
    const port = known ? ["--addr", `${this.host}:${this.port()}`] : [];
    fs.rmSync(portFile, { force: true });
    const given = ["--config", config, "--state", this.state, "--test-port-file", portFile];
    const main = join(ROOT, "cli/main.ts");
    const log = Bun.file(join(this.state, "log"));
    this.child = Bun.spawn([process.execPath, "run", main, "control-plane", ...given, ...port], {
      env: { PATH: "/usr/bin:/bin", HOME: this.state, NAVARCH_AUTH_TOKEN: TOKEN },
      stdio: ["ignore", "ignore", log],
    });
    const child = this.child;
    ended.push(() => child.kill("SIGKILL"));
    await until("the control plane listens", () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${this.log()}`);
      return fs.existsSync(portFile) && this.port() !== "" ? true : null;
    });
    this.url = `http://${this.host}:${this.port()}`;
    return this;
  }

  private port(): string {
    return fs.readFileSync(join(this.state, "port"), "utf8").trim();
  }

  /** No goodbye. */
  async kill(): Promise<void> {
    this.child?.kill("SIGKILL");
    await this.child?.exited;
  }

  log(): string {
    return fs.readFileSync(join(this.state, "log"), "utf8");
  }

  /** Puts a release into the folder; `sha256` may lie. */
  release(version: string, binary: string, sha256?: string): void {
    const folder = join(this.state, "release", version);
    fs.mkdirSync(folder, { recursive: true });
    const name = `navarch-node-${PLATFORM}`;
    fs.copyFileSync(binary, join(folder, name));
    const hash = new Bun.CryptoHasher("sha256").update(fs.readFileSync(binary)).digest("hex");
    const stamp = new Bun.CryptoHasher("sha256").update(`${version}\n`).digest("hex");
    const sums = `${sha256 ?? hash}  ${name}\n${stamp}  VERSION\n`;
    fs.writeFileSync(join(folder, "SHA256SUMS"), sums);
  }

  async call(method: string, path: string, body?: unknown): Promise<Response> {
    return await fetch(`${this.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** The command line of `navarch`, from source. */
  async cli(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
    const main = join(ROOT, "cli/main.ts");
    const child = Bun.spawn([process.execPath, "run", main, ...argv, "--server", this.url], {
      env: { PATH: "/usr/bin:/bin", HOME: this.state, NAVARCH_AUTH_TOKEN: TOKEN },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code: child.exitCode ?? -1, out, err };
  }

  async upgrade(): Promise<NonNullable<UpgradeView["upgrade"]>> {
    const { upgrade } = (await (await this.call("GET", "/upgrade")).json()) as UpgradeView;
    if (upgrade === null) throw new Error("no upgrade");
    return upgrade;
  }

  /** Until the newest upgrade is in this state and its node `node` in that one. */
  async reaches(state: string, node: string, step: string): Promise<void> {
    let last = "";
    await until(`${state}, ${node} ${step}`, async () => {
      const upgrade = await this.upgrade().catch(() => null);
      const found = upgrade?.nodes.find((one) => one.node_id === node);
      last = `${upgrade?.state} ${found?.state} ${found?.why}`;
      return upgrade?.state === state && found?.state === step ? true : null;
    }).catch((cause: unknown) => {
      throw new Error(`${String(cause)}; it is ${last}`);
    });
  }

  /** Until the node serves and speaks as `version`. */
  async serves(node: string, version: string): Promise<void> {
    await until(`${node} serves as ${version}`, async () => {
      const answer = await this.call("GET", `/nodes/${node}`).catch(() => null);
      const text = answer?.ok === true ? await answer.text() : "";
      return text.includes(`"${version}"`) && text.includes('"serving"') ? true : null;
    });
  }
}

/** An agent in a folder of its own, restarted whenever it ends. */
export class Service {
  readonly folder = scratch("service");
  readonly binary = join(this.folder, "navarch-node");
  readonly statuses: (number | null)[] = [];
  log = "";
  private stopped = false;
  private child: Bun.Subprocess<"ignore", "ignore", "pipe"> | null = null;

  constructor(binary: string, rig: Pick<Rig, "url">, node: string, more: readonly string[] = []) {
    fs.copyFileSync(binary, this.binary);
    fs.chmodSync(this.binary, 0o755);
    const given = [`--server=${rig.url}`, `--node-id=${node}`, "--fake-gpus=2", ...more];
    void this.run([...given, `--spool=${join(this.folder, "spool")}`]);
    ended.push(() => this.child?.kill("SIGKILL"));
  }

  private async run(argv: string[]): Promise<void> {
    while (!this.stopped) {
      this.child = Bun.spawn([this.binary, ...argv], {
        cwd: "/",
        // Nobody listens there; that there is a name says that a service manager started it.
        env: {
          PATH: "/usr/bin:/bin",
          NAVARCH_AUTH_TOKEN: TOKEN,
          NOTIFY_SOCKET: join(this.folder, "notify"),
        },
        stdio: ["ignore", "ignore", "pipe"],
      });
      const decoder = new TextDecoder();
      for await (const chunk of this.child.stderr) this.log += decoder.decode(chunk);
      await this.child.exited;
      this.statuses.push(this.child.exitCode);
      await Bun.sleep(100);
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.child?.kill("SIGTERM");
    await this.child?.exited;
  }
}
