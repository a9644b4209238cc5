/**
 * The server's settings, given on its command line at every start, so that they follow the program's
 * version and not the day the cluster was created, and win over anything in postgresql.conf.
 */
export const SETTINGS: Readonly<Record<string, string>> = {
  // Only this machine, only TCP: a socket file would need a folder that every account can reach.
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',

  // A commit that was answered is on disk. Never left to what a configuration file may say.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',

  // The working set of a small installation, on a machine that does other things as well.
  shared_buffers: '256MB',
  max_connections: '200',
  // Would fail, or take memory from others, on a machine that has not set any aside.
  huge_pages: 'off',

  // Seldom checkpoints: each one makes every page's next change a full page in the log again.
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  // The streaming relay reads the log; a slot that nobody reads must not fill the disk.
  wal_level: 'logical',
  max_slot_wal_keep_size: '8GB',

  // Solid state everywhere, and queries too short to be worth compiling.
  random_page_cost: '1.1',
  jit: 'off',

  // A killed client's query must not hold its locks until it happens to finish.
  client_connection_check_interval: '1s',

  timezone: 'UTC',
  log_timezone: 'UTC',

  // The log has to stay small for months: starts, stops and crashes, but no failed statement (whoever
  // sent it was told) and no checkpoint.
  logging_collector: 'off',
  log_destination: 'stderr',
  log_min_messages: 'log',
  log_checkpoints: 'off',
  log_line_prefix: '%m [%p] ',
};
