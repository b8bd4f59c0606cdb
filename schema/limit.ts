/**
 * Every bound in one place (law 7: everything has a limit). A limit is part of the contract: both
 * sides enforce it, and raising one is a change of the contract, not of a constant in some loop.
 */
export const LIMIT = {
  /** One agent request body; 8 GPUs with 50 findings fit in 40 KiB. */
  reportBytesMax: 256 * 1024,
  /** Any operator request body; the largest is a policy of 8 KiB conditions. */
  requestBytesMax: 1024 * 1024,
  /** Findings in one report. The spool sends the rest in the next one, in order. */
  findingsPerReportMax: 200,
  /**
   * What one node may send: so much at once, then so much a second. An honest agent sends a report
   * every 10 s; after an outage its spool of 64 MiB is taken in within three minutes. `news` are
   * findings, gaps and results.
   */
  node: {
    reports: { burst: 200, perSecond: 10 },
    bytes: { burst: 8 * 1024 * 1024, perSecond: 512 * 1024 },
    news: { burst: 4_000, perSecond: 400 },
    connections: { burst: 20, perSecond: 0.5 },
  },
  /** Connections of agents that have not yet said which node they are. */
  unnamedStreamsMax: 4_096,
  /** Milliseconds that an agent waits at most before it tries to reach its server again. */
  agentPauseMsMax: 60_000,
  /** GPUs of one node. The largest shipping baseboard has 16. */
  gpusPerNodeMax: 64,
  /**
   * Findings held against one node; beyond it the least severe, then oldest, is merged into a
   * count.
   */
  heldFindingsMax: 64,
  /** Two names for each finding that was held or kept aside. */
  droppedMax: 256,
  /** Text of one finding as sent: kernel records are at most about 1 KiB after unescaping. */
  messageCharsMax: 1_024,
  /** Measured values of one finding, and the characters of their names and texts together. */
  metricsMax: 64,
  metricsCharsMax: 2_048,
  /** Keys of evidence in a waiver, and the length of one. */
  evidenceMax: 64,
  /** Boot ids of a node that are remembered after they are over. */
  formerBootsMax: 8,
  /** Keys of size changes that a pool remembers. */
  askedMax: 64,
  evidenceKeyMax: 400,
  /** Nodes of one control plane (target M5 ships 10,000; the bound leaves room to 100,000). */
  nodesMax: 100_000,
  /** Labels on a node or pool. */
  labelsMax: 64,
  /** Default bound of the agent's on-disk spool. */
  spoolBytesMax: 64 * 1024 * 1024,
  /**
   * Events, findings and finished operations kept in the store. Beyond the bound the nodes with the
   * most rows lose their oldest; one node never keeps more than its own bound.
   */
  eventsKeptMax: 200_000,
  eventsPerNodeMax: 10_000,
  findingsKeptMax: 200_000,
  findingsPerNodeMax: 10_000,
  operationsKeptMax: 50_000,
  /**
   * Series of XID errors by GPU, of one node and of all; codes in the series of a pool; providers
   * that nodes name and nobody configured. More are counted as `other`.
   */
  xidSeriesPerNodeMax: 64,
  xidSeriesMax: 50_000,
  xidLabelsMax: 256,
  providerLabelsMax: 64,
  /** Set-up attempts kept of each node. */
  bootstrapsKeptMax: 50,
  /** Unreadable rows kept with their text, newest first. */
  quarantineKeptMax: 1_000,
  /** Audit rows of calls that changed something; and of refused ones, which push out only those. */
  auditKeptMax: 100_000,
  auditRefusedKeptMax: 50_000,
  /** Join tokens that can still be used; a forgotten script must not fill the store. */
  joinTokensMax: 1_000,
  /** A machine's join request, which is read before its sender is known. */
  joinBytesMax: 16 * 1024,
  /** A service-account token: one signed with RSA-4096 and long names has some 2,000. */
  podTokenCharsMax: 8_192,
  /** A request body arrives as a whole within this time, however often a byte of it comes. */
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
