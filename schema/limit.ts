/** Every bound that both programs enforce (law 7). Raising one is a change of the contract. */
export const LIMIT = {
  /** One agent request body; 8 GPUs with 50 findings fit in 40 KiB. */
  reportBytesMax: 256 * 1024,
  /** Any operator request body; the largest is a policy of 8 KiB conditions. */
  requestBytesMax: 1024 * 1024,
  /** One file of a workflow: the parser of YAML takes 0.3 s for the worst of them, in one go. */
  workflowCharsMax: 128 * 1024,
  /** Findings in one report. The spool sends the rest in the next one, in order. */
  findingsPerReportMax: 200,
  /**
   * What one node may send. An agent reports every 10 s; after an outage its spool of 64 MiB is
   * accepted within three minutes. `news` are findings, gaps and results.
   */
  node: {
    reports: { burst: 200, perSecond: 10 },
    bytes: { burst: 8 * 1024 * 1024, perSecond: 512 * 1024 },
    news: { burst: 4_000, perSecond: 400 },
    connections: { burst: 20, perSecond: 0.5 },
  },
  /** Connections of agents before their first report. */
  unnamedStreamsMax: 4_096,
  /** Longest pause between an agent's attempts to reach its server. */
  agentPauseMsMax: 60_000,
  /** GPUs of one node. The largest shipping baseboard has 16. */
  gpusPerNodeMax: 64,
  /** Findings held for one node. Above it the least severe, then oldest one is only counted. */
  heldFindingsMax: 64,
  /** Names of dropped findings: two for each one that was held or was in `aside`. */
  droppedMax: 256,
  /** Text of one finding: kernel records have at most about 1 KiB after unescaping. */
  messageCharsMax: 1_024,
  /** Measured values of one finding, and the characters of their names and texts together. */
  metricsMax: 64,
  metricsCharsMax: 2_048,
  /** Keys of evidence in a suppression (`evidenceKeyMax`: characters of one key). */
  evidenceMax: 64,
  /** Former boot ids remembered for each node. */
  formerBootsMax: 8,
  /** Idempotency keys of size changes remembered for each pool. */
  askedMax: 64,
  /** NodeNames of one pool in Slurm. */
  slurmNamesMax: 65_536,
  evidenceKeyMax: 400,
  /** Nodes of one control plane (target M5 ships 10,000; the bound leaves room to 100,000). */
  nodesMax: 100_000,
  /** Labels on a node or pool. */
  labelsMax: 64,
  /** Default bound of the agent's on-disk spool. */
  spoolBytesMax: 64 * 1024 * 1024,
  /** Rows kept in the store. Beyond the bound the nodes with the most rows lose their oldest. */
  eventsKeptMax: 200_000,
  eventsPerNodeMax: 10_000,
  findingsKeptMax: 200_000,
  findingsPerNodeMax: 10_000,
  operationsKeptMax: 50_000,
  /**
   * Metric series of XIDs by GPU, of one node and of all; XID codes of a pool; providers that are
   * not configured. More are counted as `other`.
   */
  xidSeriesPerNodeMax: 64,
  xidSeriesMax: 50_000,
  xidLabelsMax: 256,
  providerLabelsMax: 64,
  /** Set-up attempts kept of each node. */
  bootstrapsKeptMax: 50,
  /** Unreadable rows kept with their text, newest first. */
  quarantineKeptMax: 1_000,
  /** Audit rows of calls, and of refused calls. */
  auditKeptMax: 100_000,
  auditRefusedKeptMax: 50_000,
  /** Runs of pipelines, newest first. */
  pipelinesKeptMax: 500,
  /** Join tokens that can still be used. */
  joinTokensMax: 1_000,
  /** A join request, which is read before its sender is authenticated. */
  joinBytesMax: 16 * 1024,
  /** A service-account token: one signed with RSA-4096 and long names has some 2,000. */
  podTokenCharsMax: 8_192,
  /** Claims that one worker of an AgentPool may serve at once. */
  workerSlotsMax: 1_024,
  /** Time for a whole request body. */
  bodyMsMax: 20_000,
  /** Bytes of request bodies in memory at once, of all callers together. */
  bodiesBytesMax: 32 * 1024 * 1024,
  /** Health events shown by `get`. */
  healthEventsShownMax: 50,
  /** Configuration file size and YAML expansion. */
  configBytesMax: 4 * 1024 * 1024,
  configNodesMax: 10_000,
  /** One CEL condition. */
  conditionBytesMax: 8 * 1024,
  policyRulesMax: 500,
} as const;
