/** Keys of `server`, `instance_manager` and `global.agent`. */
import {
  choice,
  duration,
  flag,
  headers,
  hook,
  integer,
  mapping,
  own,
  text,
  texts,
} from "./field.ts";

export const RETRY = {
  attempts: integer("Calls before one is given up.", { min: 1, max: 100, default: 5 }),
  initial: duration("First pause between calls.", { min: 1, default: 1_000 }),
  max: duration("Longest pause between calls.", { min: 1, or: "1m, at least `initial`" }),
};

export const WEBHOOK = {
  cordon_url: hook("Called when a node is cordoned; empty means never."),
  uncordon_url: hook("Called when a node is uncordoned."),
  drain_url: hook("Called when a drain starts."),
  drain_status_url: hook("Polled for the end of the drain."),
  timeout: duration("Limit of one call.", { min: 1, default: 30_000 }),
  headers: headers("Headers; `${NAME}` is taken from the environment.", { default: {} }),
  secret_env: text("Environment variable with the key that signs each call.", { form: "env" }),
  retry: mapping("How often a call is repeated.", RETRY),
};

export const TLS = {
  cert_file: text("Certificate chain, PEM; read again each minute.", {
    or: "required without `own_ca`",
    restart: true,
  }),
  key_file: text("Its private key, PEM.", { or: "required without `own_ca`", restart: true }),
  own_ca: flag("Create a CA for this fleet; agents pin its fingerprint.", {
    default: false,
    restart: true,
  }),
  client_ca_file: text("Require client certificates of this CA.", { restart: true }),
};

export const AUDIT = {
  retention: duration("How long rows are kept, up to 100,000 calls and 50,000 refusals.", {
    min: 3_600_000,
    default: 31_536_000_000,
  }),
};

export const BACKUP = {
  interval: duration("How often a backup is written; unset means never.", { min: 60_000 }),
  keep: integer("How many backups are kept.", { min: 1, max: 10_000, default: 7 }),
};

/**
 * NVML is read every ten seconds, which finds a hot GPU within one heartbeat and stays inside the
 * agent's share of a CPU.
 */
export const SERVER = {
  address: own("Where the control plane listens, `host:port`.", "text", {
    or: "`:50051`, every interface",
    restart: true,
  }),
  external_address: text("Address for agents; default: the source address of the SSH connection.", {
    form: "external",
    restart: true,
  }),
  heartbeat_interval: duration("How often agents report.", { min: 100, default: 30_000 }),
  heartbeat_timeout: duration("Silence after which a node counts as silent.", {
    or: "3 × `heartbeat_interval`",
  }),
  health_check_interval: duration("How often agents run a full check.", {
    min: 1_000,
    default: 60_000,
  }),
  autoscale_interval: duration("How often autoscalers decide.", { min: 1_000, default: 30_000 }),
  sample_interval: duration("How often agents read the GPUs.", { min: 100, default: 10_000 }),
  health_policy_path: text("File with the health policy.", {
    or: "the built-in policy",
    also: ["health_policy"],
  }),
  state_path: text("Folder of the store, or the URL of a libSQL server.", {
    or: "see `--state`",
    restart: true,
  }),
  notifier: mapping("Notifications of cordons and drains.", {
    type: choice("Notifications of cordons and drains.", ["noop", "webhook"], { default: "noop" }),
    webhook: mapping("A web hook.", WEBHOOK),
  }),
  tls: mapping("How connections are protected.", TLS),
  auth: mapping("Access control.", {
    token_env: text("Environment variable with the shared token.", {
      form: "env",
      default: "NAVARCH_AUTH_TOKEN",
      restart: true,
    }),
    token_file: text("File with the shared token.", { restart: true }),
    admin_token_file: text("File with the administrator's token, instead of a generated one.", {
      restart: true,
    }),
    node_token_file: text("File with the nodes' token.", { unused: true, restart: true }),
    allow_anonymous: flag("Accept requests without a token. Dangerous.", {
      default: false,
      also: ["../allow_anonymous"],
      restart: true,
    }),
    metrics_auth: flag("Require a viewer token for `/metrics`.", {
      default: false,
      also: ["../metrics_auth"],
    }),
  }),
  console: mapping("The console: pages for people, and the API under `/api/admin`.", {
    networks: texts("Networks whose addresses may use what is for administrators alone.", {
      form: "network",
      default: [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
      ],
    }),
    pipeline_secret_file: text("File with the secret that signs reports of pipelines."),
    trusted_proxies: texts("Networks of proxies whose `X-Forwarded-For` names the caller.", {
      form: "network",
      default: [],
    }),
  }),
  tracing: mapping("Traces of repairs and calls, sent by OTLP over HTTP.", {
    otlp_endpoint: hook("For example `http://collector:4318/v1/traces`; empty means nowhere.", {
      restart: true,
    }),
    headers: headers("Headers; `${NAME}` is taken from the environment.", {
      default: {},
      restart: true,
    }),
  }),
  audit: mapping("The audit log.", AUDIT, { since: "0.1.0" }),
  backup: mapping("Backups of the embedded database, in `backups/` of the state folder.", BACKUP, {
    since: "0.1.0",
  }),
  metrics_port: integer("Further port on which only `/metrics` is served; 0 means none.", {
    min: 0,
    max: 65_535,
    default: 8_081,
    restart: true,
  }),
  metrics_retention: duration("How long metrics are kept.", {
    min: 1_000,
    default: 3_600_000,
    unused: true,
  }),
};

export const MANAGER = {
  registration_timeout: duration("Time for a new instance's agent to report.", {
    min: 1,
    default: 600_000,
  }),
  stale_check_interval: duration("How often instances without a sign of life are looked for.", {
    min: 1,
    default: 60_000,
    unused: true,
  }),
  retain_terminated: duration("How long the record of a node that is gone is kept.", {
    default: 86_400_000,
  }),
};

export const AGENT = {
  server: text("As `server.external_address`, where that is not set.", {
    form: "external",
    as: "externalAddress",
  }),
  heartbeat_interval: duration("As `server.heartbeat_interval`, where that is not set.", {
    min: 100,
  }),
  health_check_interval: duration("As `server.health_check_interval`, where that is not set.", {
    min: 1_000,
  }),
};
