/**
 * Turns the flags of `bootstrap --host` into the same job that the control plane runs. Adds the
 * control plane's address, CA, agent and join token; a dry run makes no request.
 */
import type { AgentBinary, Arch, Candidate, Job } from "../bootstrap/run/job.ts";
import { MARK_DIRECTORY } from "../bootstrap/run/job.ts";
import type { HostKeyCheck, SshTarget } from "../bootstrap/shell.ts";
import type { InstanceId } from "../schema/id.ts";
import type { JoinTokenView } from "../schema/join.ts";
import { type AgentFile, type Agents, askAgents, NO_AGENTS } from "./agent-file.ts";
import type { Client } from "./client.ts";
import type { HostRequest, Read } from "./host-flag.ts";
import type { HostScript } from "./host-script.ts";
import type { SlurmFiles } from "./host-slurm.ts";

/** Path in systemd/navarch-node.service. */
const JOIN_TOKEN_FILE = "/etc/navarch-node/join-token";
const CA_FILE = "/etc/navarch-node/ca.pem";
/** Path of a pushed agent, for the commands that follow. */
const AGENT_FILE = "/usr/local/bin/navarch-node";

/** For a machine that runs; a pool's machine, which boots, gets ten minutes. */
const SSH_MS = 30_000;
const SSH_CONNECT_MS = 10_000;

/** Longer than a slow setup. */
const JOIN_TTL = "1h";

export const NO_POOL =
  "template agent needs --pool P, the pool that the node joins (or --set JoinToken=T)";

/** True if the template `agent` needs a new join token. */
export function needsJoinToken(request: HostRequest): boolean {
  return request.joinToken === null && request.templates.includes("agent");
}

/** True if an agent is needed and no URL is given. */
export function needsAgent({ values }: HostRequest, { uses }: HostScript): boolean {
  if (values.AgentURL !== undefined) return false;
  return uses.has("AgentURL") || uses.has("AgentSHA256");
}

/** True if a control plane is needed; `named` = its address was given. */
export function needsServer(request: HostRequest, script: HostScript, named: boolean): boolean {
  if (needsJoinToken(request)) return true;
  return request.values.ControlPlane === undefined && (named || script.uses.has("ControlPlane"));
}

/** A token for this node and one use; the id is for revoking an unused one. */
export async function makeJoinToken(
  request: HostRequest,
  client: Client,
): Promise<Read<{ id: string; secret: string }>> {
  const answer = await client.send<JoinTokenView>("POST", "/join-tokens", ["id", "token"], {
    pool: request.pool,
    node: request.node,
    uses: 1,
    ttl: JOIN_TTL,
    label: `bootstrap of ${request.host}`.slice(0, 128),
  });
  if (!answer.ok) return answer;
  return { ok: true, value: { id: answer.value.id, secret: answer.value.token ?? "" } };
}

/** A file is pushed, otherwise the machine downloads; a named file serves its architecture only. */
export async function pickAgents(
  named: AgentFile | null,
  own: () => Promise<Agents>,
  client: Client | null,
): Promise<Read<Agents>> {
  if (named !== null) {
    return { ok: true, value: { ...NO_AGENTS, [named.arch]: named.binary } };
  }
  const here = await own();
  if (here.x64 !== null || here.arm64 !== null) return { ok: true, value: here };
  if (client === null) return { ok: true, value: NO_AGENTS };
  const offered = await askAgents(client);
  return "ok" in offered ? offered : { ok: true, value: offered };
}

export type Given = {
  request: HostRequest;
  script: HostScript;
  privateKey: string;
  hostKey: HostKeyCheck;
  jump: SshTarget | null;
  /** `loopback` = the control plane is on this computer; `null` = none is needed. */
  server: { url: string; loopback: boolean } | null;
  /** CA that the machine must trust besides its own; PEM. */
  ca: string | null;
  agents: Agents;
  joinToken: string | null;
  slurm: SlurmFiles;
};

export function makeJob(given: Given): Job {
  const { request, script, privateKey, hostKey, jump } = given;
  const { server, ca, agents, joinToken, slurm } = given;
  const { pool, node, values, host, port, user } = request;
  return {
    ...{ node, pool, port, user, privateKey, hostKey, jump },
    // Identifies the machine's marks; ids of a control plane's instances have another form.
    instance: `ssh:${host.slice(-100)}:${port}` as InstanceId,
    // Constant, so that a repeated run takes over from an earlier one.
    attempt: 1,
    epoch: 0,
    address: host,
    commands: script.commands,
    values: {
      NodeID: node,
      IPAddress: host,
      ...(pool === null ? {} : { Pool: pool }),
      // The join token is used once; the node's own credential replaces it.
      TokenFile: "",
      ...(slurm.probe === null ? {} : { MungeProbe: slurm.probe }),
      ...values,
    },
    controlPlane: {
      candidates: server === null || values.ControlPlane !== undefined ? [] : [candidateOf(server)],
      listen: server?.url ?? "",
    },
    agent: agents,
    pushTo: Object.values(agents).some(isHere) ? AGENT_FILE : null,
    credential: joinToken === null ? null : { path: JOIN_TOKEN_FILE, value: joinToken },
    files: slurm.files,
    ca: ca === null ? null : { path: CA_FILE, pem: ca },
    become: request.become,
    resume: !request.afresh,
    markDirectory: request.marks ?? MARK_DIRECTORY,
    timeouts: {
      sshMs: request.sshTimeoutMs ?? SSH_MS,
      sshConnectMs: SSH_CONNECT_MS,
      commandMs: request.commandTimeoutMs,
    },
  };
}

const isHere = (binary: AgentBinary | null): boolean => binary !== null && binary.path !== null;

/** A loopback address is useless to the node: it dials the source address of this connection. */
function candidateOf({ url, loopback }: { url: string; loopback: boolean }): Candidate {
  if (!loopback) return { kind: "url", url };
  const { protocol, port } = new URL(url);
  const scheme = protocol === "https:" ? "https" : "http";
  const usual = scheme === "https" ? 443 : 80;
  return { kind: "seen", scheme, port: port === "" ? usual : Number(port) };
}

/** The architecture of a dry run. */
export function archOf(agents: Agents): Arch {
  return agents.x64 === null && agents.arm64 !== null ? "arm64" : "x64";
}

/** The control plane's address in a dry run. */
export function addressOf(job: Job): string | null {
  const [candidate] = job.controlPlane.candidates;
  if (candidate === undefined) return null;
  if (candidate.kind === "url") return candidate.url;
  return `${candidate.scheme}://ADDRESS-OF-THIS-COMPUTER:${candidate.port}`;
}
