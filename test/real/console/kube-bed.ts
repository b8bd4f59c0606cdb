/**
 * A control plane with the console on a real API server, with KWOK in place of kubelets: the
 * compiled program, a viewer's token, and KWOK's kubelet port, which serves logs from files.
 *
 * Adapter: processes, files, network.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { CONSOLE_RULES } from "../../../deploy/console/account.ts";
import { cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT_RULES } from "../kubernetes/access.ts";
import { binaryPath } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { freePorts } from "../kubernetes/part.ts";

export const FILES = join(ROOT, "test/console");

const configOf = (kubeconfig: string): string => `
server:
  address: 0.0.0.0:0
kubernetes:
  enabled: true
  kubeconfig: ${kubeconfig}
pools: []
`;

/** The definitions of KWOK, which check the fields, are not ours to copy. */
const definition = (kind: string, plural: string, scope: string): object => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${plural}.kwok.x-k8s.io` },
  spec: {
    group: "kwok.x-k8s.io",
    names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase() },
    scope,
    versions: [
      {
        ...{ name: "v1alpha1", served: true, storage: true, subresources: { status: {} } },
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      },
    ],
  },
});

export type Answer = { status: number; text: string; headers: Headers; json(): never };

export class ConsoleBed {
  readonly cluster: Cluster;
  readonly plane: Plane;
  readonly kubeletPort: number;
  readonly folder: string;
  viewer = "";
  private kubelet = "";

  private constructor(cluster: Cluster, plane: Plane, kubeletPort: number, folder: string) {
    this.cluster = cluster;
    this.plane = plane;
    this.kubeletPort = kubeletPort;
    this.folder = folder;
  }

  static async open(): Promise<ConsoleBed> {
    const folder = mkdtempSync(join(tmpdir(), "navarch-console-"));
    const [port = 0] = freePorts(1);
    const kwok = [
      "--enable-crds=Logs,ClusterLogs",
      `--server-address=0.0.0.0:${port}`,
      "--tls-cert-file=server.crt",
      "--tls-private-key-file=server.key",
    ];
    // KWOK ends if the kinds are absent, so it is started again once they are there.
    // The shipped role, and what `fleet-console` may: nothing else is needed.
    const productRules = [...PRODUCT_RULES, ...CONSOLE_RULES];
    const cluster = await openCluster({ stages: "shipped", flags: { kwok }, productRules });
    const plane = new Plane(configOf(cluster.kubeconfig("product")));
    const bed = new ConsoleBed(cluster, plane, port, folder);
    await bed.apply(definition("Logs", "logs", "Namespaced"));
    await bed.apply(definition("ClusterLogs", "clusterlogs", "Cluster"));
    for (const plural of ["logs", "clusterlogs"]) {
      const crd = `crd/${plural}.kwok.x-k8s.io`;
      await bed.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s");
    }
    await cluster.stopPart("kwok");
    cluster.startPart("kwok");
    await bed.plane.start();
    bed.viewer = await bed.token("viewer");
    return bed;
  }

  private async token(role: string): Promise<string> {
    const body = JSON.stringify({ label: `a-${role}`, role });
    const answer = await this.plane.fetch("/api/v1/tokens", { method: "POST", body });
    const made = (await answer.json()) as { token?: string };
    if (made.token === undefined) throw new Error(`no token: ${JSON.stringify(made)}`);
    return made.token;
  }

  /** Throws unless its status is 0. */
  async kubectl(...args: string[]): Promise<string> {
    const { code, out, err } = await this.cluster.kubectl(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${err}`);
    return out.trim();
  }

  async apply(...objects: object[]): Promise<void> {
    const stdin = objects.map((each) => JSON.stringify(each)).join("\n---\n");
    const how = { user: "admin" as const, stdin };
    const { code, err } = await this.cluster.kubectlWith(how, "apply", "--server-side", "-f", "-");
    if (code !== 0) throw new Error(`kubectl apply: ${err}`);
  }

  /** A call of the console's API as the administrator. */
  async call(path: string, init: RequestInit = {}): Promise<Answer> {
    const answer = await this.plane.fetch(`/api/admin/${path}`, init);
    const text = await answer.text();
    return {
      ...{ status: answer.status, text, headers: answer.headers },
      json: () => JSON.parse(text) as never,
    };
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.call(path, { method: "POST", body: JSON.stringify(body) });
  }

  /** `navarch sim -workflow FILE` on the cluster. */
  async simulate(file: string): Promise<void> {
    const path = [dirname(binaryPath("kubectl")), "/usr/bin", "/bin"].join(":");
    const child = Bun.spawn([NAVARCH, "sim", "-workflow", file], {
      cwd: ROOT,
      env: cleanEnv({ HOME: this.folder, KUBECONFIG: this.cluster.kubeconfig(), PATH: path }),
      ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    });
    const ends = [child.stdout, child.stderr].map((end) => new Response(end).text());
    const [out, err] = await Promise.all(ends);
    if ((await child.exited) !== 0) throw new Error(`sim ${file}: ${out}${err}`);
  }

  /** A Node whose kubelet is KWOK's port: it serves logs. */
  async addKubelet(name: string): Promise<void> {
    await this.cluster.addNodes(1, { name: () => name, isKwok: false });
    const daemonEndpoints = { kubeletEndpoint: { Port: this.kubeletPort } };
    // The server would ask for the name of the host first.
    const addresses = [{ type: "InternalIP", address: "127.0.0.1" }];
    const patch = JSON.stringify({ status: { addresses, daemonEndpoints } });
    await this.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch);
    this.kubelet = name;
  }

  /** A running pod on that Node. */
  async addPod({ namespace, name }: { namespace: string; name: string }, containers: string[]) {
    await this.cluster.addPods(1, {
      ...{ name: () => name, namespace, node: () => this.kubelet },
      spec: { containers: containers.map((each) => ({ name: each, image: "example.test/none" })) },
    });
    await this.cluster.markRunning(namespace, name);
  }

  write(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** Until the call gives what is wanted; the last answer is told otherwise. */
  async eventually(path: string, wanted: (answer: Answer) => boolean): Promise<Answer> {
    return until(`${path} is as wanted`, 30_000, async () => {
      const answer = await this.call(path);
      if (wanted(answer)) return answer;
      throw new Error(`${answer.status} ${answer.text.slice(0, 500)}`);
    });
  }

  async close(): Promise<string[]> {
    const left = [...(await this.plane.destroy()), ...(await this.cluster.close())];
    rmSync(this.folder, { recursive: true, force: true });
    return left;
  }
}
