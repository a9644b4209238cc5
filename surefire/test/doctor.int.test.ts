import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { connect } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import { readConfig } from '@surefire/service';
import { examineApi } from '../src/doctor/api.ts';
import { type Finding, isHealthy } from '../src/doctor/finding.ts';
import { examineMachine } from '../src/doctor/machine.ts';
import { examineServer } from '../src/doctor/server.ts';
import { examineState } from '../src/doctor/state.ts';
import { id, settledRun } from './settled-run.ts';

const config = readConfig({ SUREFIRE_DATA_DIR: '/nonexistent/surefire' });

async function stateWith(fault: string): Promise<Finding[]> {
  await using run = await settledRun(fault);
  const findings: Finding[] = [];
  await examineState(findings, { db: run.db, url: run.url });
  return findings;
}

const text = (findings: Finding[]) => findings.map(({ level, finding }) => `${level}: ${finding}`).join('\n');

void describe('the doctor on the tables', () => {
  void it('finds a settled database healthy', async () => {
    const findings = await stateWith('');
    assert.ok(isHealthy(findings), text(findings));
    assert.match(text(findings), /relay: nobody runs it/);
  });

  const old = `now() - interval '2 minutes'`;
  const faults: [string, string, RegExp][] = [
    [
      'an operation is pending for long',
      `update operations set status = 'pending', created_at = ${old} where id = '${id('d', 7)}'`,
      /operations: 1 operation pending for more than 60 s, first: 0000000d/,
    ],
    [
      'an event waits for long',
      `update event_outbox set status = 'PENDING', created_at = ${old} where id = '${id('e', 5)}'`,
      /outbox: 1 event before publication, the oldest for 2 min/,
    ],
    [
      'an event is in quarantine',
      `update event_outbox set status = 'FAILED' where id = '${id('e', 5)}'`,
      /outbox: 1 event in quarantine \(FAILED\), first: 0000000e/,
    ],
    [
      'the ledger does not sum to zero',
      `update ledger_entries set amount = amount + 1 where account_id = '${id('a', 0)}' and version = 1`,
      /ledger: The ledger does not sum to zero in EUR: 1\./,
    ],
    [
      'tomorrow has no partition',
      `do $$ declare part text; begin
         for part in select child.relname from pg_inherits join pg_class child on child.oid = inhrelid
                      where inhparent = 'event_outbox'::regclass
                        and right(child.relname, 8)::date > (now() at time zone 'UTC')::date + 1 loop
           execute format('drop table %I', part);
         end loop; end $$`,
      /partitions: event_outbox has no partition for tomorrow/,
    ],
    [
      'a group is blocked',
      `insert into consumer_cursor values ('banking', 'banking', 0, 3, ${old});
       insert into lease_member values ('banking', 'test', now() + interval '1 hour');
       insert into consumer_lease values ('banking', 0, 1, 'test', now() + interval '1 hour')`,
      /consumers: banking has stood before position 4 of banking\/0 for 2 min/,
    ],
    [
      'a migration is missing',
      `delete from migrations_banking where name like '0002%'`,
      /migrations: Migrations are missing: banking\/0002/,
    ],
  ];
  for (const [name, fault, expected] of faults) {
    void it(`notices that ${name}`, async () => {
      const faulty = (await stateWith(fault)).filter((finding) => finding.level === 'fault');
      assert.equal(faulty.length, 1, text(faulty));
      assert.match(`${faulty[0]?.area}: ${faulty[0]?.finding}`, expected);
      assert.ok(faulty[0]?.advice, 'and says what to do');
    });
  }

  void it('remarks on dead letters and waiting events, and says what to do', async () => {
    const letter = (n: number, letterClass: string) =>
      `insert into dead_letters (id, consumer, topic, partition, position, key, event_id, event_type, class, reason,
                                 error, attempts, headers, payload, first_failed_at)
       values ('${id('f', n)}', 'banking', 'banking', 0, ${n}, 'k', '${id('f', n)}', 't', '${letterClass}', 'r',
               '{}', 1, '{}', '{}', now());`;
    const findings = await stateWith(
      `${letter(1, 'poison')} ${letter(2, 'rejected')}
       insert into consumer_cursor values ('banking', 'banking', 0, 3) on conflict do nothing;
       insert into waiting_events (consumer, topic, partition, position, key, event_id, state)
       values ('banking', 'banking', 0, 1, 'k', '${id('f', 1)}', 'dead'), ('banking', 'banking', 0, 3, 'k', '${id('f', 3)}', 'behind')`,
    );
    assert.match(text(findings), /warning: banking gave up 1 event \(poison\)/);
    assert.match(text(findings), /ok: banking keeps a record of 1 event that the business refused/);
    assert.match(text(findings), /warning: banking has 2 waiting events of 1 key:/);
    assert.ok(
      findings.some(({ advice }) => advice?.startsWith('npx surefire dead-letters list --group banking')),
    );
  });

  void it('only remarks that a new database is empty', async () => {
    await using database = await testDatabase();
    const db = connect({ url: database.url, max: 1 });
    const findings: Finding[] = [];
    await examineState(findings, { db, url: database.url });
    await db.close();
    assert.equal(text(findings), 'warning: The database is empty.');
  });
});

void describe('the doctor on the server', () => {
  void it('says that it is away', async () => {
    const db = connect({ url: 'postgres://nobody:secret@127.0.0.1:1/nowhere', max: 1 });
    const findings: Finding[] = [];
    const fit = await examineServer(findings, { db, config, shownUrl: 'postgres://shown' });
    await db.close();
    assert.equal(fit, false);
    assert.match(text(findings), /^fault: postgres:\/\/shown cannot be used: nothing listens there\.$/);
  });

  void it('warns of settings that lose commits', async () => {
    await using database = await testDatabase();
    const db = connect({ url: database.url, max: 1, settings: { synchronous_commit: 'off' } });
    const findings: Finding[] = [];
    const fit = await examineServer(findings, { db, config, shownUrl: 'postgres://shown' });
    await db.close();
    assert.equal(fit, true);
    assert.match(text(findings), /fault: synchronous_commit is off: a crash can lose/);
    assert.match(text(findings), /ok: The clocks here and of the database are less than 0\.1 s apart/);
  });
});

void describe('the doctor on the machine', () => {
  void it('lists every fault of the configuration', async () => {
    const findings: Finding[] = [];
    await examineMachine(findings, { config, faults: ['One is wrong.', 'Two is wrong.'] });
    assert.match(text(findings), /fault: One is wrong\.\nfault: Two is wrong\./);
    assert.match(text(findings), /does not exist yet; the first start creates it/);
  });
});

void describe('the doctor on the API', () => {
  const answers: [string, (path: string) => [number, string], Finding['level'], RegExp][] = [
    [
      'is ready',
      (path) => [200, path === '/livez' ? '{"status":"live"}' : '{"status":"ready"}'],
      'ok',
      /is ready/,
    ],
    [
      'is not ready',
      (path) => (path === '/livez' ? [200, '{"status":"live"}'] : [503, '{"checks":{"database":"timeout"}}']),
      'fault',
      /not ready: database timeout/,
    ],
    ['is somebody else', () => [200, '<html>'], 'fault', /Another program listens/],
  ];
  for (const [name, answer, level, expected] of answers) {
    void it(`tells when it ${name}`, async () => {
      const server = createServer((request, response) => {
        const [status, body] = answer(request.url ?? '');
        response.writeHead(status).end(body);
      });
      await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
      const findings: Finding[] = [];
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await examineApi(findings, { config, url });
      server.closeAllConnections();
      server.close();
      assert.equal(findings.at(-1)?.level, level);
      assert.match(text(findings), expected);
    });
  }

  void it('only remarks that nothing listens', async () => {
    const findings: Finding[] = [];
    await examineApi(findings, { config, url: 'http://127.0.0.1:1' });
    assert.equal(text(findings), 'warning: Nothing listens on http://127.0.0.1:1.');
  });
});
