"""The groups, topics and conversations of the demo tenancies.

A line is (days ago, time of day in UTC, key of the author, text). Days are counted back from the day on which the demo
is created, so that the conversations always end yesterday.
"""

from dataclasses import dataclass

Line = tuple[int, str, str, str]


@dataclass(frozen=True)
class DemoTopic:
    name: str
    lines: list[Line]
    interval: int = 30  # minutes
    notifications: bool = True
    is_active: bool = True


@dataclass(frozen=True)
class DemoGroup:
    tenancy: str
    name: str
    description: str
    members: list[str]
    topics: list[DemoTopic]


PAYMENTS = DemoTopic("Payments processing", interval=30, lines=[
    (24, "07:58", "alice", "Good morning all. November run: the **bank files** for Germany, Portugal and Nigeria are due on "
     "*Thursday, 14:00 UTC*. Brazil and Japan follow on Friday.\n\nPlease post here when your file is approved."),
    (24, "08:20", "bob", "Germany: gross-to-net is through, 412 payslips. Two are blocked, both because of a missing tax ID."),
    (24, "08:31", "alice", "Thanks Bob. Which two?"),
    (24, "08:36", "bob", "Employees 20417 and 20633. HR Hamburg has promised the IDs by noon."),
    (24, "13:15", "bob", "Both IDs are in. File is approved:\n\n- 412 payments\n- EUR 1,308,442.17 in total\n- value date 27th"),
    (23, "09:02", "grace", "Nigeria: the cut-off at the bank moved from 15:00 to **12:00 Lagos time** because of the holiday. I need "
     "treasury's approval before 11:00."),
    (23, "09:25", "kate", "I can approve at 10:30 Lagos time. Please have the file in the portal by 10:15."),
    (23, "09:27", "grace", "It will be there."),
    (23, "09:51", "kate", "Approved. NGN 214,560,900.00, 188 payments."),
    (21, "12:40", "joao", "Brazil: 13th salary, first instalment, is part of this run. The total is about 60 % above October, "
     "please don't be alarmed."),
    (21, "13:32", "kate", "Noted, liquidity is there. Thank you for saying it *before* the file arrives."),
    (21, "23:50", "hiro", "Japan: year-end adjustment forms are 94 % in. I will remind the rest today, payment itself is on time."),
    (16, "08:05", "alice", "All five countries paid on time. Two returns so far, both Portugal (closed accounts). I am on it."),
    (16, "15:40", "alice", "Both Portuguese returns are re-issued with new IBANs, confirmed by phone with the employees."),
    (8, "07:45", "alice", "December calendar, because of the holidays everything is **four days earlier**:\n\n"
     "| Country | Input closes | Bank file |\n|---|---|---|\n| Germany | 8 Dec | 15 Dec |\n| Portugal | 8 Dec | 15 Dec |\n"
     "| Nigeria | 7 Dec | 14 Dec |\n| Brazil | 9 Dec | 16 Dec |\n| Japan | 9 Dec | 17 Dec |"),
    (8, "08:10", "bob", "Germany can do the 15th. The works council wants the Christmas bonus on a payslip of its own, I will make it a "
     "second run on the same day."),
    (8, "08:22", "kate", "Two German files on one day is fine, but please send me both totals in *one* message."),
    (2, "16:05", "grace", "Nigeria input is complete, eleven days early. The new pension rates are in as well."),
    (1, "09:10", "farah", "From the provider's side: the December test files for Nigeria have been validated without an error."),
    (1, "09:18", "alice", "Wonderful, thank you Farah."),
])  # fmt: skip

YEAR_END = DemoTopic("Year-end closing", interval=240, lines=[
    (18, "10:00", "alice", "This topic is for the year-end closing. Interval is 4 hours, so that nobody drowns in e-mails."),
    (18, "10:12", "bob", "Lohnsteuerbescheinigungen: electronic transfer is possible from 4 January. Archive first, as last year?"),
    (18, "15:30", "alice", "Yes, archive first. > Nothing leaves before the archive is sealed."),
    (12, "23:15", "hiro", "年末調整 (year-end adjustment): statutory tables for 2027 are published. I have attached nothing here, they are "
     "in the usual folder."),
    (5, "12:00", "joao", "Brazil: eSocial closing S-1299 for the 13th salary must be sent by **20 December**."),
    (5, "14:20", "bob", "Question to all: do you close accruals for unused leave on 31 December or with the January run?"),
    (5, "14:45", "grace", "With the January run, finance Lagos prefers it."),
    (4, "09:05", "alice", "Portugal: 31 December."),
])  # fmt: skip

CUT_OFF = DemoTopic("Daily cut-off", interval=0, lines=[
    (3, "06:30", "alice", "Every message here is e-mailed to the group (interval 0). Please use it **only** when a cut-off is in danger."),
    (3, "10:58", "grace", "Bank portal is down since 10:40. File for off-cycle run 7 can't be uploaded."),
    (3, "11:20", "grace", "It is back, file is uploaded. All clear."),
])  # fmt: skip

BENEFITS = DemoTopic("Company cars and meal vouchers", interval=1440, lines=[
    (20, "08:30", "ines", "Bonjour à tous! France: the daily value of the *titres-restaurant* rises in January. I will post the exact "
     "amount when it is official."),
    (14, "14:00", "bob", "Germany: three company cars change hands this month. The 1 % rule applies from the day of the handover."),
    (6, "09:40", "ines", "It is official, the maximum employer share rises. `BEN-310` in the pay codes is updated for all French entities."),
])  # fmt: skip

NEW_HIRES = DemoTopic("New hires and leavers", notifications=False, lines=[
    (11, "07:20", "ines", "Weekly list: 4 new hires, 2 leavers. Details are in the HR system; no names here, please."),
    (4, "07:25", "ines", "Weekly list: 1 new hire, no leavers."),
])  # fmt: skip

MIGRATION = DemoTopic("Migration to the new provider (closed)", is_active=False, lines=[
    (27, "09:00", "alice", "The migration is finished. This topic is kept for the record only."),
])  # fmt: skip

GROUPS = [
    DemoGroup("northwind", "Global payroll", "Payments and closing in all countries, with the provider and treasury.",
              ["alice", "bob", "farah", "grace", "hiro", "joao", "kate"], [PAYMENTS, YEAR_END, CUT_OFF, MIGRATION]),
    DemoGroup("northwind", "Benefits Europe", "Company cars, vouchers, pensions in the European entities.",
              ["ines", "alice", "bob"], [BENEFITS, NEW_HIRES]),
    DemoGroup("northwind", "Audit preparation", "Opens when the auditors announce themselves.", ["alice", "kate"], []),
    DemoGroup("aurora", "Payroll Nordics and Italy", "The payroll team of Aurora Foods.", ["erin", "luca"], [
        DemoTopic("Payments processing", interval=60, lines=[
            (9, "08:00", "erin", "Huomenta! Finland is ready, waiting for Italy."),
            (9, "08:35", "luca", "Italy: CCNL increases are in, file in an hour."),
            (9, "10:02", "luca", "File approved, EUR 402,118.50."),
        ]),
    ]),
]  # fmt: skip
