/**
 * `surefire doctor`: looks at everything it can reach, says what it finds and what to do. It changes nothing,
 * and works with the platform stopped, with the database away, and with nothing there yet.
 */
import { connect } from '@surefire/postgres';
import { type Config, ConfigError } from '@surefire/service';
import { apiUrl } from './api-url.ts';
import { readFaultyConfig } from './config.ts';
import { findDatabase, shownUrl } from './database.ts';
import { examineApi } from './doctor/api.ts';
import { examineArea, type Finding, isHealthy, renderFindings } from './doctor/finding.ts';
import { examineMachine } from './doctor/machine.ts';
import { examineServer } from './doctor/server.ts';
import { examineState } from './doctor/state.ts';
import { EXIT, type ExitCode } from './failure.ts';
import { availableRoles } from './roles.ts';
import { painter, print } from './terminal.ts';

export async function examine(options: { json: boolean }): Promise<ExitCode> {
  const findings: Finding[] = [];
  const found = readForExamination();
  const { config } = found;
  await examineMachine(findings, found);

  let url: string | undefined;
  await examineArea('database', findings, async (write) => {
    url = (await findDatabase(config))?.url;
    if (url === undefined) {
      write.warn(
        `The embedded PostgreSQL of ${config.dataDir} is not running, so the tables were not examined.`,
        'Normal while the platform is stopped: npm start, or npx surefire database',
      );
    }
  });
  if (url !== undefined) {
    const db = connect({
      url,
      max: 2,
      applicationName: 'surefire doctor',
      settings: { default_transaction_read_only: 'on' },
    });
    try {
      const fit = await examineServer(findings, { db, config, shownUrl: shownUrl(url) });
      if (fit) await examineState(findings, { db, url });
    } finally {
      await db.close();
    }
  }
  await examineApi(findings, { config, url: apiUrl(config.http) });

  const healthy = isHealthy(findings);
  if (options.json) print(JSON.stringify({ healthy, findings }, null, 2));
  else print(renderFindings(findings, painter(process.stdout)));
  return healthy ? EXIT.ok : EXIT.unhealthy;
}

/** Every fault that would stop a start, and the configuration of what is sound. */
function readForExamination(): { config: Config; faults: readonly string[] } {
  const { config, faults } = readFaultyConfig();
  try {
    return { config: { ...config, roles: availableRoles(config) }, faults };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config, faults: [...faults, ...error.faults] };
  }
}
