/**
 * `navarch bootstrap --host`: sets up an existing machine with the same run as the control plane.
 * Local mistakes are reported before the machine is contacted, output is printed as it comes, and
 * the same command resumes an interrupted run.
 *
 * Adapter: network, and where this program lies.
 */
import { createMask } from "../bootstrap/run/mask.ts";
import { completeValues, renderCommands } from "../bootstrap/run/render.ts";
import type { Connect, SshTarget } from "../bootstrap/shell.ts";
import { createConnect } from "../bootstrap/ssh/ssh2.ts";
import { keyLines } from "../reconciler/security/held-secret.ts";
import { viewAttempt } from "../reconciler/http/view/bootstrap.ts";
import { NO_AGENTS, readAgentFile, readOwnAgents } from "./agent-file.ts";
import type { Client } from "./client.ts";
import type { Context } from "./command.ts";
import { EXIT, failure, type Failure, usage } from "./failure.ts";
import { type HostRequest, type Read, readHostFlags } from "./host-flag.ts";
import {
  addressOf,
  archOf,
  type Given,
  makeJob,
  makeJoinToken,
  needsAgent,
  needsJoinToken,
  needsServer,
  NO_POOL,
  pickAgents,
} from "./host-job.ts";
import { HostKeyFault, HostKeyFile } from "./host-key-file.ts";
import { failureOf, formatDone, formatScript, renameAttempt } from "./host-print.ts";
import { isForPeople, isPlaced, type Ran, runJob, type Running } from "./host-run.ts";
import { type HostScript, readHostScript } from "./host-script.ts";
import { readSlurmFiles } from "./host-slurm.ts";
import { INTERRUPTS } from "./interrupt.ts";
import { readPrivateKey } from "./private-key.ts";
import { show } from "./show.ts";
import { stateAuthority } from "./state-folder.ts";
import { openTrust } from "./trust.ts";

export async function setUpHost(context: Context): Promise<number | Failure> {
  try {
    return await setUp(context);
  } catch (error) {
    if (error instanceof HostKeyFault) return failure(EXIT.failed, "host_key", error.message);
    throw error;
  }
}

async function setUp(context: Context): Promise<number | Failure> {
  const { flags, world } = context;
  const desired = readHostFlags(flags, world.env);
  if (!desired.ok) return desired;
  const request = desired.value;
  const read = readHostScript(request.templates, request.files);
  if (!read.ok) return read;
  const script = read.value;
  const slurm = readSlurmFiles(request);
  if (!slurm.ok) return slurm;
  const named = request.agentPath === null ? null : await readAgentFile(request.agentPath);
  if (named?.ok === false) return named;
  const own = () => readOwnAgents(process.execPath, process.arch);
  const isAsked = needsAgent(request, script);
  const client = openServer(context, request, script);
  if (client !== null && "ok" in client) return client;
  const server = client === null ? null : client.address;
  if (request.dryRun) {
    const agents = isAsked ? await pickAgents(named?.value ?? null, own, null) : null;
    if (agents?.ok === false) return agents;
    const base = { request, script, server, ca: null, jump: null, privateKey: "" } as const;
    const files = { ...slurm.value, probe: null };
    const found = { agents: agents?.value ?? NO_AGENTS, joinToken: null, slurm: files };
    return showScript(context, { ...base, ...found, hostKey: { kind: "first-use" } });
  }
  if (request.pool === null && needsJoinToken(request)) return usage(NO_POOL);
  const privateKey = readPrivateKey(request.keyPath, world.home);
  if (!privateKey.ok) return privateKey;
  const keys = new HostKeyFile(request.knownHosts, world.home, world.err);
  const hostKey = keys.check(request.host, request.port);
  if (!hostKey.ok) return hostKey;
  const connect = createConnect();
  const jump = await meetJump(request, privateKey.value, keys, connect);
  if (!jump.ok) return jump;
  const agents = isAsked ? await pickAgents(named?.value ?? null, own, client) : null;
  if (agents?.ok === false) return agents;
  const ca = client === null ? null : await readAuthority(context, client);
  if (typeof ca === "object" && ca !== null) return ca;
  const needsToken = client !== null && needsJoinToken(request);
  const made = needsToken ? await makeJoinToken(request, client) : null;
  if (made?.ok === false) return made;
  const joinToken = made?.value.secret ?? request.joinToken;
  const job = makeJob({
    ...{ request, script, server, ca, joinToken, slurm: slurm.value },
    privateKey: privateKey.value,
    hostKey: hostKey.value,
    jump: jump.value,
    agents: agents?.value ?? NO_AGENTS,
  });
  const tokens = [client?.token.token, flags.text("token"), joinToken];
  const masks = [...tokens.map((token) => token ?? ""), ...keyLines(privateKey.value)];
  let isUnused = true;
  try {
    const ran = await runJob(context, { request, script, job, keys, connect, masks });
    // A token that reached the machine may be in use.
    isUnused = !isPlaced(ran.outcome);
    return await conclude(context, { request, script, job, keys, ...ran });
  } finally {
    const id = made === null ? null : encodeURIComponent(made.value.id);
    if (id !== null && isUnused) await client?.send("DELETE", `/join-tokens/${id}`, ["id"]);
  }
}

function openServer(
  context: Context,
  request: HostRequest,
  script: HostScript,
): Client | Failure | null {
  const named = context.flags.from("server") !== null;
  return needsServer(request, script, named) ? context.connect() : null;
}

/** The CA that was given for the control plane: the node must trust it too. */
async function readAuthority(context: Context, client: Client): Promise<string | null | Failure> {
  const trust = openTrust(context.flags, client.address, stateAuthority(context.flags));
  if (!("tls" in trust)) return trust;
  const tls = await trust.tls(context.timeoutMs);
  if (tls !== null && "ok" in tls) return tls;
  return client.address.secure ? (tls?.ca ?? null) : null;
}

/** Connects to the jump host first, since its key is not known through the target. */
async function meetJump(
  request: HostRequest,
  privateKey: string,
  keys: HostKeyFile,
  connect: Connect,
): Promise<Read<SshTarget | null>> {
  const { jump } = request;
  if (jump === null) return { ok: true, value: null };
  const check = keys.check(jump.host, jump.port);
  if (!check.ok) return check;
  const target = { ...jump, privateKey, hostKey: check.value };
  const timeoutMs = request.sshTimeoutMs ?? 10_000;
  const answer = await connect({ ...target, jump: null, timeoutMs });
  if (answer.kind !== "ok") {
    const exits = {
      unreachable: EXIT.unreachable,
      denied: EXIT.forbidden,
      host_key: EXIT.refused,
      bad_key: EXIT.usage,
    } as const;
    const hint = answer.kind === "host_key" ? ` (${keys.hint(jump.host, jump.port)})` : "";
    return failure(exits[answer.kind], answer.kind, `--jump: ${answer.message}${hint}`);
  }
  answer.shell.close();
  keys.accept(jump.host, jump.port, check.value, answer.hostKey);
  return { ok: true, value: { ...target, hostKey: { kind: "pinned", keys: [answer.hostKey] } } };
}

async function showScript(context: Context, given: Given): Promise<number | Failure> {
  const { request, script } = given;
  const job = makeJob(given);
  const arch = archOf(given.agents);
  const values = completeValues(job, arch, addressOf(job));
  const rendered = renderCommands(job, values);
  if (!rendered.ok) return failure(EXIT.usage, "template", "a template cannot be printed");
  const mask = createMask([job.values.KubernetesJoinToken ?? "", request.joinToken ?? ""]);
  const commands = rendered.value.map((one) => ({ ...one, script: mask.text(one.script) }));
  const join = needsJoinToken(request)
    ? [`First, a join token for pool ${request.pool ?? "…"} would be created and placed.`]
    : request.joinToken === null
      ? []
      : ["First, the join token would be placed."];
  const sent = given.slurm.files.map(({ what, target }) => `First, the ${what} ${target} is sent.`);
  const file = job.agent[arch]?.path ?? null;
  const agent = file === null ? [] : [`First, the agent ${file} would be pushed.`];
  const notes = [`Printed for ${arch}.`, ...join, ...sent, ...agent];
  await show(context, {
    data: commands.map((one, at) => ({ name: script.names[at], script: one.script })),
    names: script.names,
    human: () => formatScript(job, commands, script.names, notes),
  });
  return EXIT.done;
}

async function conclude(
  context: Context,
  { request, script, job, keys, outcome, interrupt }: Omit<Running, "connect" | "masks"> & Ran,
): Promise<number | Failure> {
  const view = renameAttempt(viewAttempt(outcome.attempt), script.names);
  const human = isForPeople(context);
  if (!human) await show(context, { data: view, names: [job.node], human: () => "" });
  switch (outcome.kind) {
    case "done":
      if (human) context.world.out(formatDone(job, view));
      return EXIT.done;
    case "interrupted":
    case "cancelled":
      context.world.err("stopped; run the same command again to resume\n");
      return INTERRUPTS[interrupt ?? "SIGINT"];
    default: {
      return failureOf(outcome, script.names, {
        host_key: keys.hint(request.host, request.port),
        address: "set it with --set ControlPlane=URL",
        push: "choose another binary with --agent F",
      });
    }
  }
}
