/**
 * The client in a compiled binary against a real API server: every way to prove who we are, and
 * every kind of request that the product makes. The binary is built with the product's options.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildProduct, readStamp } from "../../../build/product.ts";
import { cleanEnv } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { openAuthority } from "./certificate.ts";
import type { Cluster } from "./cluster.ts";
import { openCluster } from "./cluster.ts";
import { READS } from "./conformance/read.ts";
import { WRITES } from "./conformance/write.ts";
import type { Result } from "./conformance/case.ts";

const NEEDED = ["etcd", "kube-apiserver"] as const;
const missing = await whyNoCluster(NEEDED);
if (missing !== null) console.error(`SKIPPED: the client against a real server: ${missing}`);

/** Everything together took 20 s alone on two cores. */
const RUN_MS_MAX = 180_000;

describe.skipIf(missing !== null)("the compiled client and a real API server", () => {
  let cluster: Cluster;
  let folder = "";
  let binary = "";

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "navarch-conformance-"));
    const product = {
      name: "conformance",
      entry: "test/real/kubernetes/conformance/main.ts",
      rooms: [],
    };
    const target = `bun-linux-${process.arch}`;
    const options = { outdir: folder, target, executable: null, stamp: await readStamp() };
    const built = await buildProduct(product, options);
    binary = built.path;
    cluster = await openCluster({ parts: { controllers: false, scheduler: false, kwok: false } });
  }, 240_000);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  const start = (args: readonly string[], env: Record<string, string> = {}) =>
    Bun.spawn([binary, ...args], {
      cwd: folder,
      env: cleanEnv({ HOME: folder, PATH: process.env["PATH"] ?? "", ...env }),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      timeout: RUN_MS_MAX,
      killSignal: "SIGKILL",
    });

  type Who = { who: string | null; name: string; rssMiB: number; failed?: string; answer: unknown };
  async function who(args: readonly string[], env: Record<string, string> = {}): Promise<Who> {
    const child = start(["who", ...args], env);
    const line = await new Response(child.stdout).text();
    await child.exited;
    return JSON.parse(line) as Who;
  }

  const write = (name: string, content: string, mode = 0o600): string => {
    const path = join(folder, name);
    writeFileSync(path, content, { mode });
    return path;
  };
  const ca = () => Buffer.from(cluster.authority).toString("base64");
  const kubeconfig = (name: string, user: object, cluster_: object = {}): string =>
    write(
      name,
      JSON.stringify({
        "current-context": "c",
        clusters: [
          {
            name: "c",
            cluster: { server: cluster.url, "certificate-authority-data": ca(), ...cluster_ },
          },
        ],
        users: [{ name: "u", user }],
        contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      }),
    );
  const certificate = () => {
    const identity = cluster.identity("admin");
    if ("token" in identity) throw new Error("the administrator has a certificate");
    return identity;
  };
  const PRODUCT = "system:serviceaccount:navarch-system:navarch";

  test("is the client certificate's owner, inline and in files beside the kubeconfig", async () => {
    expect(await who(["--kubeconfig", cluster.kubeconfig("admin")])).toMatchObject({
      who: "admin",
    });
    write("admin.crt", certificate().certificate);
    write("admin.key", certificate().key);
    write("ca.crt", cluster.authority);
    const user = { "client-certificate": "admin.crt", "client-key": "admin.key" };
    const named = { "certificate-authority-data": "", "certificate-authority": "ca.crt" };
    const path = kubeconfig("files", user, named);
    expect(await who([], { KUBECONFIG: path })).toMatchObject({ who: "admin", name: "c" });
  });

  test("trusts no other authority, and is nobody without credentials", async () => {
    const other = Buffer.from(openAuthority("other", Date.now()).certificate).toString("base64");
    const user = { token: await cluster.token() };
    const wrong = kubeconfig("wrong-ca", user, { "certificate-authority-data": other });
    const refused = await who(["--kubeconfig", wrong]);
    expect(refused).toMatchObject({ who: null, answer: { kind: "lost" } });
    expect(JSON.stringify(refused.answer)).toMatch(/CERT|SIGNATURE|certificate/i);
    const nobody = await who(["--kubeconfig", kubeconfig("nobody", {})]);
    expect(nobody).toMatchObject({ who: null, answer: { kind: "refused" } });
    const liar = await who(["--kubeconfig", kubeconfig("liar", { token: "no.such.token" })]);
    expect(liar).toMatchObject({ who: null, answer: { kind: "refused", status: 401 } });
  });

  test("is the bearer of a token, given and in a file", async () => {
    expect(await who(["--kubeconfig", cluster.kubeconfig("product")])).toMatchObject({
      who: PRODUCT,
    });
    write("token", `${await cluster.token()}\n`);
    const path = kubeconfig("token-file", { tokenFile: "token" });
    expect(await who(["--kubeconfig", path])).toMatchObject({ who: PRODUCT });
  });

  test("is the pod's account by the files of a pod", async () => {
    const root = join(folder, "pod");
    const account = join(root, "var/run/secrets/kubernetes.io/serviceaccount");
    mkdirSync(account, { recursive: true });
    writeFileSync(join(account, "ca.crt"), cluster.authority);
    writeFileSync(join(account, "token"), await cluster.token());
    const { hostname, port } = new URL(cluster.url);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const found = await who(["--root", root], env);
    expect(found).toMatchObject({ who: PRODUCT, name: "in-cluster" });
  });

  test("is whom a credential plugin makes of us, by token and by certificate", async () => {
    const apiVersion = "client.authentication.k8s.io/v1";
    const plugin = (name: string, status: object) => {
      const answer = JSON.stringify({ apiVersion, kind: "ExecCredential", status });
      const path = write(name, `#!/bin/sh\ncat <<'END'\n${answer}\nEND\n`, 0o700);
      chmodSync(path, 0o700);
      const exec = { apiVersion, command: `./${name}`, interactiveMode: "Never" };
      return kubeconfig(`${name}.kubeconfig`, { exec });
    };
    const byToken = plugin("token-plugin", { token: await cluster.token() });
    expect(await who(["--kubeconfig", byToken])).toMatchObject({ who: PRODUCT });
    const status = {
      clientCertificateData: certificate().certificate,
      clientKeyData: certificate().key,
    };
    const byCertificate = plugin("certificate-plugin", status);
    expect(await who(["--kubeconfig", byCertificate])).toMatchObject({ who: "admin" });
  });

  test(
    "passes every case",
    async () => {
      const child = start(["all", "--kubeconfig", cluster.kubeconfig("admin")]);
      const results: Result[] = [];
      let rssMiB = Number.POSITIVE_INFINITY;
      const act: Record<string, () => Promise<void> | void> = {
        compact: () => cluster.compactEtcd(),
        restart: async () => {
          await cluster.stopApiserver();
          await cluster.startApiserver();
        },
        freeze: () => cluster.signal("apiserver", "SIGSTOP"),
        thaw: () => cluster.signal("apiserver", "SIGCONT"),
      };
      type Line = { ask?: string; rssMiB?: number; failed?: string } & Partial<Result>;
      let rest = "";
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const text of lines) {
          const line = JSON.parse(text) as Line;
          if (line.failed !== undefined) throw new Error(line.failed);
          if (line.ask !== undefined) {
            await act[line.ask]?.();
            void child.stdin.write("done\n");
            await child.stdin.flush();
          }
          if (line.rssMiB !== undefined) rssMiB = line.rssMiB;
          if (line.name !== undefined) results.push(line as Result);
        }
      }
      await child.exited;
      for (const { name, detail, ms } of results) console.error(`  ${name}: ${detail} (${ms} ms)`);
      console.error(`  resident at the end: ${rssMiB} MiB`);
      expect(results.filter(({ ok }) => !ok)).toEqual([]);
      expect(results.map(({ name }) => name)).toEqual(
        [...WRITES, ...READS].map(({ name }) => name),
      );
      // Lists of 1,100 objects and 3,000 requests; the stock client uses 79–91
      // (docs/reference/runtime.md#http).
      expect(rssMiB).toBeLessThan(160);
      const agent = cluster.audit().filter(({ userAgent }) => userAgent === "navarch-conformance");
      const pages = agent.filter(({ requestURI }) => /configmaps\?.*limit=500/.test(requestURI));
      expect(pages.some(({ requestURI }) => requestURI.includes("continue="))).toBe(true);
    },
    RUN_MS_MAX + 20_000,
  );
});
