/**
 * `npm run cluster`: a real Kubernetes control plane to play with, until Ctrl-C. With `--build` it
 * only makes sure that the programs are there (`--build all` adds helm), which takes minutes once.
 */
import { BINARIES, CLUSTER_BINARIES, prepareBinaries } from "./binary.ts";
import { openCluster } from "./cluster.ts";

const USAGE = `npm run cluster                     a cluster until Ctrl-C
npm run cluster -- --nodes 8        with eight nodes of eight GPUs, kept alive by KWOK
npm run cluster -- --build [all]    only build what it needs`;

/** More than a person looks at, fewer than would make the start slow. */
const NODES_MAX = 5_000;

function die(why: string): never {
  console.error(`cluster: ${why}\n\n${USAGE}`);
  process.exit(1);
}

function nodesOf(args: readonly string[]): number {
  if (args.length === 0) return 3;
  const [flag, value] = args;
  const count = Number(value);
  if (flag !== "--nodes" || args.length !== 2) die(`unknown arguments ${args.join(" ")}`);
  if (!/^\d+$/.test(value ?? "") || count > NODES_MAX) {
    die(`--nodes ${value ?? ""}: expected a whole number up to ${NODES_MAX}`);
  }
  return count;
}

async function build(names: typeof BINARIES | typeof CLUSTER_BINARIES): Promise<void> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  process.on("SIGINT", abort).on("SIGTERM", abort);
  const tell = (line: string): void => console.error(`cluster: ${line}`);
  const prepared = await prepareBinaries(names, tell, stop.signal);
  process.off("SIGINT", abort).off("SIGTERM", abort);
  if (stop.signal.aborted) die("the build was stopped");
  if (!prepared.ok) die(prepared.why);
}

async function serve(nodes: number): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => resolve());
  });
  const cluster = await openCluster({ stages: "shipped" });
  try {
    await cluster.addNodes(nodes);
    console.log(`A Kubernetes cluster with ${nodes} nodes serves on ${cluster.url}

  export KUBECONFIG=${cluster.kubeconfig()}

${["human", "product"].map((user) => cluster.kubeconfig(user as "human")).join("\n")}
are the files of a second person and of the product's own account. Logs and the audit log are in
${cluster.folder}

Ctrl-C, or kill ${process.pid}, ends it and removes everything.`);
    await stopped;
  } finally {
    const left = await cluster.close();
    if (left.length > 0) die(`left behind: ${left.join(", ")}`);
  }
  console.log("cluster: ended, nothing left");
}

const args = process.argv.slice(2);
if (args[0] === "--build") {
  if (args.length > 2 || (args[1] !== undefined && args[1] !== "all")) die("--build takes `all`");
  await build(args[1] === "all" ? BINARIES : CLUSTER_BINARIES);
} else {
  const nodes = nodesOf(args);
  await build(CLUSTER_BINARIES);
  await serve(nodes);
}
process.exit();
