from django.urls import path

from . import transfers, views

urlpatterns = [
    path('', views.home, name='home'),
    path('books/', views.books, name='books'),
    path('books/add/', views.add_book, name='add-book'),
    path('books/<int:number>/', views.book, name='book'),
    path('request/', views.request_seen),
    path('visits/', views.visits),
    path('fresh/', views.fresh),
    path('compressed/', views.compressed),
    path('error/', views.error),
    path('log/<str:level>/', views.log_at),
    path('print/', views.printed),
    path('files/cover/', transfers.file),
    path('files/download/', transfers.download),
    path('files/text/', transfers.text),
    path('stream/', transfers.stream),
    path('large/', transfers.large),
    path('endless/<str:name>/', transfers.endless),
    path('gone/', transfers.those_gone),
    path('broken/', transfers.broken),
    path('upload/', transfers.upload),
    path('body/', transfers.body),
    path('received/', transfers.received),
]
