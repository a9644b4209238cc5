/** Reports: asked for, made in the background, fetched. Keyed by the report. */
import { Type } from 'typebox';
import { type Contract, contract } from './contract.ts';
import { AccountId, count, moment, Reason, ReportId, Timestamp, word } from './fields.ts';

const report = {
  version: 1,
  delivery: 'critical',
  topic: 'reports',
  aggregate: 'report',
  key: (data: { report_id: string }) => data.report_id,
  subject: (data: { report_id: string }) => data.report_id,
} as const;

const Kind = word('Which report, e.g. `statement`');

export const ReportRequested = contract({
  ...report,
  name: 'reports.report_requested',
  description: 'Somebody asked for a report, and it will be made.',
  data: Type.Object({
    report_id: ReportId,
    kind: Kind,
    account_id: Type.Optional(AccountId),
    from: moment('Where its period begins'),
    to: moment('Where its period ends, exclusive'),
    requested_by: Type.String({ description: 'The id of who asked' }),
    timestamp: Timestamp,
  }),
});

export const ReportCompleted = contract({
  ...report,
  name: 'reports.report_completed',
  description: 'A report is there and can be fetched.',
  data: Type.Object({
    report_id: ReportId,
    kind: Kind,
    media_type: Type.String({ description: 'E.g. `text/csv`' }),
    size_bytes: count('Its size in bytes'),
    timestamp: Timestamp,
  }),
});

export const ReportFailed = contract({
  ...report,
  name: 'reports.report_failed',
  description: 'A report could not be made.',
  data: Type.Object({ report_id: ReportId, kind: Kind, reason: Reason, timestamp: Timestamp }),
});

export const reportsContracts: readonly Contract[] = [ReportRequested, ReportCompleted, ReportFailed];
