/**
 * A real Kubernetes control plane for one test, thrown away afterwards: etcd, API server, and as
 * wanted controllers, scheduler and KWOK in place of kubelets, on free ports of the loopback
 * address, with an authority, users and an audit log of its own. Several run side by side.
 *
 * Adapter: processes, files, network, clock.
 */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnv, until } from "../../fixture/plane/plane.ts";
import { Access, grantAccess, PRODUCT_RULES, requestToken } from "./access.ts";
import type { Ask, Identity, Rule, User } from "./access.ts";
import { binaryPath } from "./binary.ts";
import { openAuthority, openTokenKey } from "./certificate.ts";
import type { Authority, Life, Subject } from "./certificate.ts";
import { addNodes, addPods, markRunning, reviveNode, silenceNode, stopPulse } from "./fleet.ts";
import type { Made, NodeTemplate, PodTemplate } from "./fleet.ts";
import { formatKwokConfig } from "./kwok.ts";
import { freePorts, isAlive, Processes } from "./part.ts";
import type { Part } from "./part.ts";
import { AUDIT_POLICY, commandOf } from "./server.ts";
import type { Layout } from "./server.ts";
import { applyStages, playsStages, STAGE_FLAGS } from "./stage.ts";

export type ClusterOptions = {
  /** All on unless told otherwise; etcd and API server always run. */
  parts?: { controllers?: boolean; scheduler?: boolean; kwok?: boolean };
  /** Further flags of a part, after its own: `{apiserver: ["--watch-cache=false"]}`. */
  flags?: Partial<Record<Part, readonly string[]>>;
  /**
   * Stages of KWOK: `shipped` are the product's own, as objects of the API that may be changed.
   * `test`, the default, obeys `POD_ACT` and `podEndMs`.
   */
  stages?: "test" | "shipped";
  /** How long a deleted pod takes to end; `null`: its whole grace period. 200 unless told. */
  podEndMs?: number | null;
  /** Rules of the product's account; `null` makes no account. Default: the shipped role's. */
  productRules?: readonly Rule[] | null;
  /** Every pod needs a service account; on exactly when controllers run, unless told. */
  enableServiceAccount?: boolean;
  /** Whether etcd waits for the disk. Nothing of a throw-away cluster outlives the machine. */
  isSynced?: boolean;
  /** Where its folder is made; `/dev/shm` keeps it in memory. */
  parent?: string;
  /** Gets a line for each part with how long it took. Standard error unless told. */
  tell?: (line: string) => void;
};

/** One answered request, as the server's audit log has it (audit.k8s.io/v1, level Metadata). */
export type AuditEntry = {
  auditID: string;
  stage: string;
  verb: string;
  requestURI: string;
  userAgent?: string;
  user: { username: string; groups?: string[] };
  objectRef?: {
    resource?: string;
    subresource?: string;
    namespace?: string;
    name?: string;
    apiGroup?: string;
  };
  responseStatus?: { code?: number; reason?: string };
  /** RFC 3339 with microseconds. */
  requestReceivedTimestamp: string;
  stageTimestamp: string;
};

export type Ran = { code: number; out: string; err: string };

/** Starting takes seconds alone; with five other busy processes on two cores it takes a minute. */
const START_MS_MAX = 120_000;
const KUBECTL_MS_MAX = 120_000;
const POD_END_MS = 200;

/** Ports may be taken by others between the choice and the use; then all is begun again. */
const ATTEMPTS = 3;

/** Starts one and waits until it serves, with every part and every user there. */
export async function openCluster(options: ClusterOptions = {}): Promise<Cluster> {
  for (let attempt = 1; ; attempt++) {
    const cluster = new Cluster(options);
    try {
      await cluster.start();
      return cluster;
    } catch (error) {
      await cluster.close();
      const isPort = /address already in use/.test(String(error));
      if (!isPort || attempt === ATTEMPTS) throw error;
    }
  }
}

export class Cluster {
  readonly folder: string;
  readonly url: string;
  /** Milliseconds that each part took to start, in order. */
  readonly took: Record<string, number> = {};
  private readonly layout: Layout;
  private readonly processes: Processes;
  private readonly access: Access;
  private readonly signer: Authority;
  private readonly options: ClusterOptions;
  /** `kubectl`, while it runs. */
  private readonly running = new Set<Bun.Subprocess>();
  private closing: Promise<string[]> | null = null;

  constructor(options: ClusterOptions) {
    const { parts = {}, flags = {} } = options;
    this.options = options;
    this.folder = mkdtempSync(join(options.parent ?? tmpdir(), "navarch-cluster-"));
    chmodSync(this.folder, 0o700);
    const [apiserver = 0, etcd = 0, peer = 0] = freePorts(3);
    const hasControllers = parts.controllers ?? true;
    const isShipped = options.stages === "shipped";
    this.layout = {
      folder: this.folder,
      ports: { apiserver, etcd, peer },
      hasControllers,
      hasServiceAccounts: options.enableServiceAccount ?? hasControllers,
      isSynced: options.isSynced ?? false,
      flags: isShipped ? { ...flags, kwok: [...STAGE_FLAGS, ...(flags.kwok ?? [])] } : flags,
    };
    this.url = `https://127.0.0.1:${apiserver}`;
    const authority = openAuthority("navarch-test", Date.now());
    this.signer = authority;
    const hosts = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
    const server = authority.issue({ name: "kube-apiserver", hosts });
    const token = openTokenKey();
    this.write("ca.crt", authority.certificate);
    this.write("server.crt", server.certificate);
    this.write("server.key", server.key);
    this.write("token.key", token.privateKey);
    this.write("token.pub", token.publicKey);
    this.write("audit-policy.yaml", AUDIT_POLICY);
    const { podEndMs = POD_END_MS } = options;
    this.write("kwok.yaml", formatKwokConfig(isShipped ? "none" : podEndMs));
    this.access = new Access(this.folder, this.url, authority);
    this.processes = new Processes(this.folder);
  }

  /** `openCluster` calls it. */
  async start(): Promise<void> {
    await this.timed("etcd", async () => {
      this.launch("etcd");
      await this.wait("etcd", async () => (await this.etcd("/health", null)) !== null);
    });
    await this.timed("apiserver", () => this.startApiserver());
    const { controllers = true, scheduler = true, kwok = true } = this.options.parts ?? {};
    if (controllers) this.launch("controllers");
    if (scheduler) this.launch("scheduler");
    if (kwok) {
      const isShipped = this.options.stages === "shipped";
      if (isShipped) await applyStages(this.access);
      this.launch("kwok");
      const log = () => this.log("kwok");
      if (isShipped) await this.wait("kwok", () => playsStages(this.access, log));
    }
    const { productRules = PRODUCT_RULES } = this.options;
    if (productRules !== null) {
      await this.timed("users", () => grantAccess(this.access, productRules));
    }
    if (controllers) {
      // Its first visible effect: without this account no pod can be made.
      await this.timed("controllers", async () => {
        const path = "/api/v1/namespaces/default/serviceaccounts/default";
        await this.wait("controllers", async () => (await this.request(path)).ok);
      });
    }
  }

  /** Starts the API server, again on the same port and the same etcd. */
  async startApiserver(): Promise<void> {
    this.launch("apiserver");
    await this.wait("apiserver", async () => (await this.request("/readyz")).ok);
  }

  /** Ends it at once, as a crash would; what it acknowledged is in etcd. */
  async stopApiserver(): Promise<void> {
    await this.processes.stop("apiserver");
  }

  startPart(part: Part): void {
    this.launch(part);
  }

  async stopPart(part: Part): Promise<void> {
    await this.processes.stop(part);
  }

  /** `SIGSTOP` makes a part hang, `SIGCONT` lets it go on. */
  signal(part: Part, name: "SIGSTOP" | "SIGCONT" | "SIGTERM"): void {
    this.processes.signal(part, name);
  }

  /** What the part has said. */
  log(part: Part): string {
    return this.processes.log(part);
  }

  pids(): number[] {
    return this.processes.pids();
  }

  /** The path of the user's kubeconfig file, credentials inside. */
  kubeconfig(user: User = "admin"): string {
    return this.access.kubeconfig(user);
  }

  identity(user: User): Identity {
    return this.access.identity(user);
  }

  /** The authority's certificate, PEM. */
  get authority(): string {
    return this.access.authority;
  }

  /** Writes a kubeconfig of a user without rights, and returns its path. */
  issue(name: string, life?: Life, ca = this.authority): string {
    const subject: Subject = { name };
    const { certificate, key } = this.signer.issue(subject, life);
    return this.access.write(name, { certificate, key }, ca);
  }

  /** A new token of the product's account; 600 seconds is the least that the server grants. */
  token(lifeS?: number): Promise<string> {
    return requestToken(this.access, lifeS);
  }

  /** Runs `kubectl` as the administrator. Never throws on its status. */
  async kubectl(...args: string[]): Promise<Ran> {
    return this.kubectlAs("admin", ...args);
  }

  async kubectlAs(user: User, ...args: string[]): Promise<Ran> {
    return this.kubectlWith({ user, stdin: "" }, ...args);
  }

  /** With something to read, as in `kubectl apply -f -`. */
  async kubectlWith(how: { user: User; stdin: string }, ...args: string[]): Promise<Ran> {
    const command = [binaryPath("kubectl"), `--kubeconfig=${this.kubeconfig(how.user)}`, ...args];
    const child = Bun.spawn(command, {
      cwd: this.folder,
      env: cleanEnv({ HOME: this.folder }),
      stdin: Buffer.from(how.stdin),
      stdout: "pipe",
      stderr: "pipe",
      timeout: KUBECTL_MS_MAX,
    });
    this.running.add(child);
    const ends = [child.stdout, child.stderr];
    const [out = "", err = ""] = await Promise.all(ends.map((end) => new Response(end).text()));
    const code = await child.exited;
    this.running.delete(child);
    return { code, out, err };
  }

  /** A raw request, as the administrator unless `as` says otherwise. */
  request(path: string, ask: Ask = {}): Promise<Response> {
    return this.access.request(path, ask);
  }

  /** Its JSON; throws unless the status is 2xx. */
  json<T = unknown>(path: string, ask: Ask = {}): Promise<T> {
    return this.access.json<T>(path, ask);
  }

  addNodes(count: number, template: NodeTemplate = {}): Promise<Made[]> {
    return addNodes(this.access, count, template, Date.now());
  }

  addPods(count: number, template: PodTemplate = {}): Promise<Made[]> {
    return addPods(this.access, count, template);
  }

  /** Where no KWOK does it. */
  markRunning(namespace: string, name: string): Promise<void> {
    return markRunning(this.access, namespace, name);
  }

  /** The node's kubelet dies, see `silenceNode`; its lease must be there already. */
  silence(node: string): Promise<void> {
    return silenceNode(this.access, node);
  }

  /** The node's machine is gone and nothing of it speaks; see `stopPulse`. */
  stopPulse(node: string): Promise<void> {
    return stopPulse(this.access, node);
  }

  /** The kubelet of a silenced node comes back. */
  revive(node: string): Promise<void> {
    return reviveNode(this.access, node);
  }

  /** Every request answered so far, in order of completion. */
  audit(): AuditEntry[] {
    const text = readFileSync(join(this.folder, "audit.log"), "utf8");
    // The last line may be in the middle of being written.
    const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as AuditEntry);
  }

  /**
   * Forgets all history before now, in etcd. The API server still serves old resource versions from
   * its own cache until it is started again (or has none: `--watch-cache=false`).
   */
  async compactEtcd(): Promise<void> {
    type Range = { header: { revision: string } };
    const key = Buffer.from("a").toString("base64");
    const range = (await this.etcd("/v3/kv/range", { key })) as Range;
    const { revision } = range.header;
    await this.etcd("/v3/kv/compaction", { revision, physical: true });
  }

  /** Ends every process and removes the folder; says what is left, which must be nothing. */
  close(): Promise<string[]> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<string[]> {
    for (const child of this.running) child.kill("SIGKILL");
    await Promise.all([...this.running].map((child) => child.exited));
    const pids = this.processes.pids();
    await this.processes.stopAll();
    rmSync(this.folder, { recursive: true, force: true });
    const left = pids.filter(isAlive).map((pid) => `process ${pid}`);
    return existsSync(this.folder) ? [...left, `folder ${this.folder}`] : left;
  }

  private launch(part: Part): void {
    this.processes.start(part, commandOf(part, this.layout));
  }

  private async wait(part: Part, look: () => Promise<boolean>): Promise<void> {
    let dead: unknown = null;
    await until(`${part} serves`, START_MS_MAX, async () => {
      try {
        this.processes.check(part);
      } catch (error) {
        dead = error;
        return true;
      }
      return (await look()) ? true : null;
    });
    if (dead !== null) throw dead;
  }

  /** etcd's gRPC by way of its JSON gateway. */
  private async etcd(path: string, body: unknown): Promise<unknown> {
    const init = body === null ? {} : { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`http://127.0.0.1:${this.layout.ports.etcd}${path}`, init);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${text}`);
    return JSON.parse(text) as unknown;
  }

  private async timed(what: string, work: () => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    await work();
    const ms = Math.round(performance.now() - startedMs);
    this.took[what] = ms;
    const tell = this.options.tell ?? ((line: string) => console.error(line));
    tell(`cluster: ${what} ${(ms / 1_000).toFixed(1)} s`);
  }

  private write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text, { mode: 0o600 });
  }
}
