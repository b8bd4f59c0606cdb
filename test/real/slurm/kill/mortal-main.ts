/**
 * `navarch` from its sources, with a death at each write and call: the crash injector of virtual
 * time sits under the store and around cloud, API server and Slurm, and where the orders of a test
 * say so it ends this process by a real SIGKILL. Orders, points and deaths are files (`order.ts`).
 *
 * Adapter: processes, files, timers.
 */
import type { Client } from "@libsql/client";
import { plugin } from "bun";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../../../build/product.ts";
import type { Provider } from "../../../../reconciler/core/provider.ts";
import type { SlurmClient } from "../../../../reconciler/core/slurm/client.ts";
import type { KubeApi } from "../../../../reconciler/kubernetes/api.ts";
import { CrashInjector, type Point } from "../../../world/crash-injector.ts";
import { Orders } from "./order.ts";

/** A call that has been sent, and whose child process or connection is still at work. */
const UNDER_WAY_MS = 2;

const orders = new Orders(process.env["NAVARCH_TEST_ORDERS"] ?? "");
const injector = new CrashInjector();
const die = (): void => {
  process.kill(process.pid, "SIGKILL");
  // Nothing of this process may run while the signal is on its way.
  for (;;);
};

/** Tables that the statements of a call to the database write; empty = it only reads. */
let written = "";
const named = new Map<number, string>();

injector.watch = ({ n, side, what }: Point): void => {
  if (side === "b") named.set(n, what.startsWith("sql.") ? `${what} ${written}` : what);
  const name = named.get(n) ?? what;
  if (side === "a") named.delete(n);
  const fate = orders.at(n, side, name);
  if (fate === "now") die();
  if (fate === "under way") setTimeout(die, UNDER_WAY_MS);
};

const WRITES = /\b(?:insert(?: or \w+)? into|update|delete from)\s+["`]?(\w+)/gi;

function tablesOf(args: readonly unknown[]): string {
  const texts = args.flat().map((one) => {
    if (typeof one === "string") return one;
    return typeof one === "object" && one !== null && "sql" in one ? String(one.sql) : "";
  });
  const found = texts.flatMap((text) => [...text.matchAll(WRITES)].map(([, table]) => table));
  return [...new Set(found)].sort().join("+");
}

/** The injector counts a call at once when it is made: the name is set just before. */
function mortalClient(client: Client): Client {
  const counted = injector.client(client);
  return new Proxy(counted, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        written = tablesOf(args);
        return Reflect.apply(value, target, args);
      };
    },
  });
}

Object.assign(globalThis, {
  mortal: {
    client: mortalClient,
    kube: (api: KubeApi) => injector.kube(api),
    slurm: (client: SlurmClient) => injector.slurm(client),
  },
});

/** Where the product makes its ports, and what stands there in this process. */
const CHANGES = [
  {
    file: "reconciler/store/libsql.ts",
    from: "options.wrap ?? ((client: Client) => client)",
    to: "globalThis.mortal.client",
  },
  {
    file: "reconciler/kubernetes/client.ts",
    from: "return new Client(transport, ports, callsMax)",
    to: "return globalThis.mortal.kube(new Client(transport, ports, callsMax))",
  },
  {
    file: "reconciler/slurm/open.ts",
    from: "countCalls(openSlurmClient(config, ports), ports.count)",
    to: "countCalls(globalThis.mortal.slurm(openSlurmClient(config, ports)), ports.count)",
  },
] as const;

plugin({
  name: "mortal",
  setup(build) {
    for (const { file, from, to } of CHANGES) {
      const path = join(ROOT, file);
      const filter = new RegExp(`^${RegExp.escape(path)}$`);
      build.onLoad({ filter }, () => {
        const parts = readFileSync(path, "utf8").split(from);
        if (parts.length !== 2) throw new Error(`${file} has not exactly one \`${from}\``);
        return { contents: parts.join(to), loader: "ts" };
      });
    }
  },
});

// After the changes: a file is read once.
const { ADAPTERS } = await import("../../../../reconciler/provider/open.ts");
const openFake = ADAPTERS.get("fake");
if (openFake === undefined) throw new Error("there is no fake provider");
ADAPTERS.set("fake", async (config, from) => {
  const opened = await openFake(config, from);
  if (typeof opened === "string" || !("faults" in opened)) return opened;
  const provider: Provider = injector.provider(opened.provider);
  return { ...opened, provider };
});

await import("../../../../cli/main.ts");
